"""The composer in conversation: what it does next follows from the transcript alone."""

import pytest

from local.model.agent import respond
from local.model.model import Conversation, Reply, Text, Thinking, Tool, ToolResult, ToolUse, Turn

WRITE = (Tool("write_file", eager=True),)
EDITOR = Tool("str_replace_based_edit_tool")
PROMPT = "a landing page for a bakery in Lisbon"


class Talk:
    """A caller that runs the tools; paths in `failing` are refused that often."""

    def __init__(self, prompt: str, *tools: Tool, parallel: bool = True, **failing: int) -> None:
        self.turns = [Turn("user", (Text(prompt),))]
        self.tools = tools or WRITE
        self.parallel = parallel
        self.failing = {path.replace("__", "."): times for path, times in failing.items()}
        self.files: dict[str, str] = {}
        self.replies: list[Reply] = []
        self.broken_link = False

    def run(self, limit: int = 40) -> Reply:
        """Answer until the composer ends its turn."""
        for _ in range(limit):
            reply = self.step()
            if not any(isinstance(block, ToolUse) for block in reply.blocks):
                return reply
        raise AssertionError("the composer does not come to an end")

    def step(self) -> Reply:
        reply = respond(self.conversation(), broken_link=self.broken_link)
        self.replies.append(reply)
        named = tuple(
            ToolUse(block.name, block.input, f"toolu_{len(self.turns)}_{index}")
            if isinstance(block, ToolUse)
            else block
            for index, block in enumerate(reply.blocks)
        )
        self.turns.append(Turn("assistant", named))
        results = tuple(self._use(block) for block in named if isinstance(block, ToolUse))
        if results:
            self.turns.append(Turn("user", results))
        return reply

    def ask(self, text: str) -> None:
        self.turns.append(Turn("user", (Text(text),)))

    def conversation(self) -> Conversation:
        return Conversation(tuple(self.turns), self.tools, parallel_tools=self.parallel)

    def _use(self, call: ToolUse) -> ToolResult:
        path = str(call.input["path"])
        if self.failing.get(path, 0) > 0:
            self.failing[path] -= 1
            return ToolResult(call.id, "no space left", is_error=True)
        if call.name == "write_file":
            self.files[path] = str(call.input["content"])
        elif call.name == "delete_file":
            del self.files[path]
        elif call.input["command"] == "view":
            lines = self.files[path].removesuffix("\n").split("\n")
            return ToolResult(call.id, "\n".join(f"{n}\t{line}" for n, line in enumerate(lines, 1)))
        else:
            old, new = str(call.input["old_str"]), str(call.input["new_str"])
            assert self.files[path].count(old) == 1
            self.files[path] = self.files[path].replace(old, new)
        return ToolResult(call.id, "written")


def commands(reply: Reply) -> set[str]:
    return {
        str(block.input.get("command", block.name))
        for block in reply.blocks
        if isinstance(block, ToolUse)
    }


def calls(reply: Reply) -> list[str]:
    return [str(block.input["path"]) for block in reply.blocks if isinstance(block, ToolUse)]


def words(reply: Reply) -> str:
    return " ".join(block.text for block in reply.blocks if isinstance(block, Text))


def test_a_prompt_is_answered_by_a_plan_and_all_files_in_one_turn() -> None:
    talk = Talk(PROMPT)
    first = talk.step()
    assert isinstance(first.blocks[0], Thinking)
    assert isinstance(first.blocks[1], Text)
    assert "index.html" in calls(first)
    assert len(calls(first)) >= 4
    last = talk.step()
    assert calls(last) == []
    assert "is ready" in words(last)


def test_the_same_conversation_is_answered_the_same() -> None:
    talk = Talk(PROMPT)
    talk.run()
    assert respond(talk.conversation()) == respond(talk.conversation())


def test_with_one_call_at_a_time_the_same_files_come_one_by_one() -> None:
    whole, single = Talk(PROMPT), Talk(PROMPT, parallel=False)
    whole.run()
    single.run()
    assert single.files == whole.files
    assert all(len(calls(reply)) <= 1 for reply in single.replies)


def test_a_refused_file_alone_is_written_again() -> None:
    talk = Talk(PROMPT, index__html=1)
    talk.step()
    assert calls(talk.step()) == ["index.html"]
    assert "is ready" in words(talk.run())
    assert "index.html" in talk.files


def test_a_file_that_is_always_refused_is_given_up_with_the_reason() -> None:
    talk = Talk(PROMPT, index__html=99)
    last = talk.run()
    assert "could not write index.html: no space left" in words(last)
    assert sum("index.html" in calls(reply) for reply in talk.replies) == 3


def test_a_follow_up_writes_only_what_differs() -> None:
    talk = Talk(PROMPT)
    talk.run()
    before = dict(talk.files)
    talk.ask("make it dark")
    changed = calls(talk.step())
    assert "css/theme.css" in changed
    assert "index.html" not in changed
    assert "made it dark" in words(talk.run())
    assert set(changed) == {path for path in before if before[path] != talk.files[path]}


def test_what_is_not_understood_is_said_and_nothing_is_written() -> None:
    talk = Talk(PROMPT)
    talk.run()
    talk.ask("add a shopping cart")
    last = talk.run()
    assert calls(last) == []
    assert "did not find anything" in words(last)


@pytest.mark.parametrize("parallel", [True, False])
def test_in_a_new_conversation_the_brief_is_found_in_the_project(*, parallel: bool) -> None:
    first = Talk(PROMPT)
    first.run()
    manifest = "\n".join(f"- {path} ({len(text)} bytes)" for path, text in first.files.items())
    talk = Talk(
        f"Files of the project:\n{manifest}\n\nuse green", *WRITE, EDITOR, parallel=parallel
    )
    talk.files = dict(first.files)
    looked = talk.step()
    assert calls(looked) == ["css/theme.css"]
    assert "changed the colours" in words(talk.run())
    assert talk.files["index.html"] == first.files["index.html"]
    assert talk.files["css/theme.css"] != first.files["css/theme.css"]


def shown(files: dict[str, str], *paths: str) -> str:
    """The project as the generation service shows it: every path, and the contents of some."""
    lines = [f"{path} ({len(text.encode())} bytes)" for path, text in files.items()]
    for path in paths:
        lines += ["", f'<file path="{path}">', files[path], "</file>"]
    return "\n".join(["<project_files>", "The site as it is now:", "", *lines, "</project_files>"])


def test_the_brief_is_found_in_contents_that_came_with_the_request() -> None:
    first = Talk(PROMPT)
    first.run()
    talk = Talk(f"{shown(first.files, 'css/theme.css', 'index.html')}\nmake it dark")
    changed = calls(talk.step())
    assert "css/theme.css" in changed
    assert "index.html" not in changed
    assert "by hand" not in words(talk.run())


def test_edits_by_hand_are_kept_where_nothing_changes_and_named_where_they_are_lost() -> None:
    first = Talk(PROMPT)
    first.run()
    files = dict(first.files)
    files["index.html"] = files["index.html"].replace("<h1>", "<h1>My ")
    files["css/theme.css"] += "body { margin: 1rem; }\n"
    talk = Talk(f"{shown(files, 'css/theme.css', 'index.html')}\nmake it dark")
    assert "index.html" not in calls(talk.step())
    assert "I wrote css/theme.css anew; the edits made there by hand" in words(talk.run())


def test_files_that_the_new_site_does_not_have_are_deleted() -> None:
    talk = Talk(PROMPT, *WRITE, Tool("delete_file"))
    talk.run()
    talk.ask("Now build a snake game instead")
    talk.run()
    assert "js/game.js" in talk.files
    assert "js/main.js" not in talk.files


def test_a_foreign_project_is_left_alone() -> None:
    talk = Talk("Project files:\n- main.css (10 bytes)\n\nmake it dark", *WRITE, EDITOR)
    last = talk.run()
    assert calls(last) == []
    assert "can only change sites that I can recognise" in words(last)


def test_without_a_tool_to_write_it_says_what_it_would_make() -> None:
    reply = respond(Conversation((Turn("user", (Text(PROMPT),)),)))
    assert "write_file" in words(reply)
    assert calls(reply) == []


def test_a_small_change_goes_through_the_editor_and_keeps_edits_by_hand() -> None:
    first = Talk(PROMPT)
    first.run()
    files = dict(first.files)
    files["index.html"] = files["index.html"].replace("<h1>", "<h1>My ")
    talk = Talk(f"{shown(files, 'css/theme.css', 'index.html')}\nremove the story", *WRITE, EDITOR)
    talk.files = dict(files)
    reply = talk.step()
    assert commands(reply) == {"str_replace"}
    talk.run()
    assert "<h1>My " in talk.files["index.html"]
    assert 'id="story"' not in talk.files["index.html"]


def test_a_file_that_was_never_seen_is_looked_at_before_it_is_changed() -> None:
    first = Talk(PROMPT)
    first.run()
    talk = Talk(f"{shown(first.files, 'css/theme.css')}\nremove the story", *WRITE, EDITOR)
    talk.files = dict(first.files)
    looked = talk.step()
    assert commands(looked) == {"view"}
    assert "index.html" in calls(looked)
    assert commands(talk.step()) == {"str_replace"}


REPORT = "The checks found 1 problem in the files:\n\n- index.html:12 (link): leads nowhere\n"


def test_a_dead_link_on_purpose_is_repaired_when_it_is_reported() -> None:
    talk = Talk(PROMPT, *WRITE, EDITOR)
    talk.broken_link = True
    talk.run()
    assert "pages/nowhere.html" in talk.files["index.html"]
    talk.ask(REPORT)
    assert calls(talk.step()) == ["index.html"]
    assert "repaired" in words(talk.run())
    assert "pages/nowhere.html" not in talk.files["index.html"]


def test_a_report_on_what_is_right_changes_nothing() -> None:
    talk = Talk(PROMPT)
    talk.run()
    talk.ask(REPORT)
    last = talk.run()
    assert calls(last) == []
    assert "nothing to repair" in words(last)
