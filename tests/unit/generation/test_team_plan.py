"""The plan of a site: what is accepted, what is refused with which words, and who may write what."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kit.errors import Invalid
from services.generation.agent.tools import BadCall, Noted, WriteFile
from services.generation.model import Message
from services.generation.worker.team import parts, prompts, style
from services.generation.worker.team.plan import PagePlan, plan_in, read_plan


def given(**changes: Any) -> dict[str, Any]:
    plan = {
        "style": "Warm and plain.",
        "navigation": "<nav>…</nav>",
        "shared_files": ["css/site.css", "js/site.js"],
        "pages": [page("index.html"), page("about.html")],
    }
    return {**plan, **changes}


def page(path: str, **changes: Any) -> dict[str, Any]:
    return {"path": path, "title": path.title(), "brief": f"All of {path}.", **changes}


async def nothing() -> list[Any]:
    return []


def call_of(part: Any, tool: str, **fields: Any) -> Any:
    return part.reading(tool, fields, True)


BAD = {
    "no style": ({"style": " "}, "style"),
    "no navigation": ({"navigation": ""}, "navigation"),
    "shared files that are no list": ({"shared_files": "css/site.css"}, "shared_files"),
    "no stylesheet": ({"shared_files": ["js/site.js"]}, "shared_files"),
    "a shared path that leads out": ({"shared_files": ["../x.css"]}, "shared_files[0]"),
    "no pages": ({"pages": []}, "pages"),
    "too many pages": ({"pages": [page(f"p{n}.html") for n in range(13)]}, "pages"),
    "a page that is no object": ({"pages": ["index.html"]}, "pages[0]"),
    "a page that is no page": ({"pages": [page("site.css")]}, "pages[0].path"),
    "a page that leads out": ({"pages": [page("/etc/x.html")]}, "pages[0].path"),
    "a page without a title": ({"pages": [page("index.html", title="")]}, "pages[0].title"),
    "a page without a brief": ({"pages": [page("index.html", brief=3)]}, "pages[0].brief"),
    "the same page twice": ({"pages": [page("a.html"), page("A.html")]}, "pages"),
    "two pages with one folder": ({"pages": [page("a.html"), page("a/index.html")]}, "pages"),
    "a page in another's folder": ({"pages": [page("a.html"), page("a/b.html")]}, "pages"),
    "a shared file in a page's folder": ({"shared_files": ["about/site.css"]}, "shared_files"),
}


@pytest.mark.parametrize(("change", "field"), BAD.values(), ids=BAD.keys())
def test_a_bad_plan_is_refused_with_the_field_s_name(change: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        read_plan(given(**change), 12)
    assert caught.value.message.startswith(f"{field}:")


def test_the_planner_hears_of_its_plan_and_may_write_no_page() -> None:
    planner = parts.planner(12, nothing)
    assert isinstance(call_of(planner, "plan_site", **given()), Noted)
    refused = call_of(planner, "plan_site", **given(pages=[]))
    assert isinstance(refused, BadCall)
    assert "pages" in refused.problem
    assert isinstance(call_of(planner, "write_file", path="css/a.css", content=""), WriteFile)
    assert isinstance(call_of(planner, "write_file", path="a.html", content=""), BadCall)


FOREIGN = ("about.html", "css/site.css", "indexes/a.svg", "about/a.svg")


@pytest.mark.parametrize("path", FOREIGN)
def test_a_page_s_agent_writes_nothing_of_the_others(path: str) -> None:
    writer = parts.writer(PagePlan("index.html", "Home", "All."), nothing, nothing)
    for tool, fields in (
        ("write_file", {"path": path, "content": "x"}),
        ("delete_file", {"path": path}),
        ("rename_file", {"path": "index.html", "to_path": path}),
        (
            "str_replace_based_edit_tool",
            {"command": "insert", "path": path, "insert_line": 0, "insert_text": "x"},
        ),
        ("run_command", {"command": f"rm {path}"}),
    ):
        assert isinstance(call_of(writer, tool, **fields), BadCall), tool


def test_a_page_s_agent_writes_its_page_and_its_folder_and_looks_at_all() -> None:
    writer = parts.writer(PagePlan("blog/index.html", "Blog", "All."), nothing, nothing)
    for path in ("blog/index.html", "blog/cover.svg"):
        assert isinstance(call_of(writer, "write_file", path=path, content="x"), WriteFile)
    looked = call_of(writer, "str_replace_based_edit_tool", command="view", path="css/site.css")
    assert not isinstance(looked, BadCall)


def test_the_last_acceptable_plan_of_a_transcript_counts() -> None:
    plans = [given(style="first"), given(style="second"), given(pages=[])]
    transcript = [
        Message("assistant", [{"type": "tool_use", "name": "plan_site", "input": plan}])
        for plan in plans
    ]
    found = plan_in(transcript, 12)
    assert found is not None
    assert found.style == "second"
    assert plan_in(transcript[2:], 12) is None


def test_what_all_page_agents_are_told_comes_first_and_is_the_same() -> None:
    plan = read_plan(given(), 12)
    first, second = (
        prompts.writer_opening("A bakery", plan, page, {"css/site.css": "b{}"}, {})
        for page in plan.pages
    )
    assert first[0] == second[0]
    assert "b{}" in json.dumps(first[0])
    assert first[-1] != second[-1]


LINKED = {
    "plainly": '<link rel="stylesheet" href="css/site.css">',
    "from the root": "<link rel=stylesheet href=/css/site.css>",
    "with a query": '<link rel="preload stylesheet" href="./css/site.css?v=2">',
}


@pytest.mark.parametrize("link", LINKED.values(), ids=LINKED.keys())
def test_a_page_that_links_the_style_is_left_as_it_is(link: str) -> None:
    text = f"<!doctype html><html lang=en><head><title>T</title>{link}</head><body></body></html>"
    assert style.linking(text, "index.html", ["css/site.css"]) == text


UNLINKED = {
    "no link": "<!doctype html><html><head><title>T</title></head><body><p>x</p></body></html>",
    "in a comment": "<html><head><!-- </title><link rel=stylesheet href=css/site.css> --></head></html>",
    "another file": "<html><head><link rel=stylesheet href=site.css></head><body></body></html>",
    "another host": "<head><link rel=stylesheet href=//x/css/site.css></head><body>",
    "without a head": "<!doctype html><body><p>x",
}


@pytest.mark.parametrize("text", UNLINKED.values(), ids=UNLINKED.keys())
@pytest.mark.parametrize("path", ["index.html", "blog/first/index.html"])
def test_a_page_that_misses_the_style_gets_it_and_keeps_the_rest(text: str, path: str) -> None:
    assert style.missing(text, path, ["css/site.css"]) == ["css/site.css"]
    mended = style.linking(text, path, ["css/site.css"])
    assert mended is not None
    assert style.missing(mended, path, ["css/site.css"]) == []
    up = "../../" if "/" in path else ""
    assert mended.replace(f'<link rel="stylesheet" href="{up}css/site.css">\n', "") == text


def test_a_text_that_is_no_page_gets_no_link() -> None:
    assert style.linking("just words", "index.html", ["css/site.css"]) is None


HOSTILE = {
    "deep": "<div>" * 50_000,
    "open tags": "<a " * 80_000,
    "open comments": "<!--" * 60_000,
    "a marked section": "<![foo[" * 30_000,
    "quotes": "<a b='\" " * 30_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_page_that_is_hard_to_read_is_read_in_little_time(text: str) -> None:
    page = f'<head><title>T</title><link rel="stylesheet" href="css/site.css"></head>{text}'
    assert style.missing(page, "index.html", ["css/site.css"]) == []
    before = f"<head><title>T</title></head>{text}"
    assert style.missing(before, "index.html", ["css/site.css"]) == ["css/site.css"]
