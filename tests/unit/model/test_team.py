"""Several composers on one site: one plans, each writes its page, one looks at the whole."""

import json
from typing import Any

import pytest

from local.model.agent import respond
from local.model.composer import brief
from local.model.composer.compose import compose
from local.model.model import Conversation, Reply, Text, Tool, ToolResult, ToolUse, Turn

PROMPT = "documentation for 'Möbius'"
ITEM = {"type": "object", "properties": {"path": {}, "title": {}, "brief": {}}}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "style": {"type": "string"},
        "pages": {"type": "array", "items": ITEM},
        "navigation": {"type": "string"},
    },
}
PLAN = Tool("plan_site", schema=SCHEMA)
WRITE = Tool("write_file", eager=True)
WHOLE = compose(brief.parse(PROMPT)).files


def calls(reply: Reply) -> list[ToolUse]:
    return [block for block in reply.blocks if isinstance(block, ToolUse)]


def done(text: str, *tools: Tool) -> tuple[dict[str, str], list[ToolUse]]:
    """Run a conversation that begins with `text`: the files written, and the other calls."""
    turns = [Turn("user", (Text(text),))]
    files: dict[str, str] = {}
    others: list[ToolUse] = []
    for number in range(5):
        made = calls(respond(Conversation(tuple(turns), tools)))
        if not made:
            return files, others
        named = [ToolUse(c.name, c.input, f"{number}_{i}") for i, c in enumerate(made)]
        files |= {
            str(c.input["path"]): str(c.input["content"]) for c in named if c.name == "write_file"
        }
        others += [c for c in named if c.name != "write_file"]
        turns.append(Turn("assistant", tuple(named)))
        turns.append(Turn("user", tuple(ToolResult(c.id, "ok") for c in named)))
    raise AssertionError("the composer does not come to an end")


@pytest.fixture(scope="module")
def plan() -> dict[str, Any]:
    _, (call,) = done(PROMPT, PLAN, WRITE)
    return dict(call.input)


def test_the_planner_tells_every_page_in_the_tools_shape_and_writes_what_is_shared(
    plan: dict[str, Any],
) -> None:
    shared, _ = done(PROMPT, PLAN, WRITE)
    assert [page["path"] for page in plan["pages"]] == [p for p in WHOLE if p.endswith(".html")]
    assert isinstance(plan["navigation"], str)
    assert set(plan) == set(SCHEMA["properties"])
    assert shared == {path: text for path, text in WHOLE.items() if not path.endswith(".html")}


def test_each_page_agent_writes_its_own_page_alone_and_all_agree(plan: dict[str, Any]) -> None:
    for page in plan["pages"]:
        told = f"{PROMPT}\n\nThe plan:\n{json.dumps(plan)}\n\nYour page: {page['path']}"
        files, _ = done(told, WRITE)
        assert files == {page["path"]: WHOLE[page["path"]]}


def test_the_reviewer_writes_the_page_that_is_missing(plan: dict[str, Any]) -> None:
    there = [path for path in WHOLE if path != "reference.html"]
    listed = "\n".join(f"{path} ({len(WHOLE[path])} bytes)" for path in there)
    told = (
        f"<project_files>\n{listed}\n</project_files>\n{json.dumps(plan)}\nReview the whole site."
    )
    files, _ = done(told, WRITE)
    assert files == {"reference.html": WHOLE["reference.html"]}
