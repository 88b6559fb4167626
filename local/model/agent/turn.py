"""One turn: look at what is there, decide what is missing, write it, say so."""

from collections.abc import Iterator

from local.model.agent import edits, memory, plan, words
from local.model.agent.roles import Role, role
from local.model.agent.target import Target, target
from local.model.agent.transcript import DELETE, EDITOR, PLAN, WRITE, Transcript, read
from local.model.composer import brief as briefs
from local.model.composer.compose import compose
from local.model.model import Conversation, OutputBlock, Reply, Text, Thinking, ToolUse

# A file that was refused this often is left alone, and the answer says so.
MAX_ATTEMPTS = 3


def respond(talk: Conversation, *, broken_link: bool = False) -> Reply:
    """The next answer to `talk`; a `broken_link` makes the first version of a site err on purpose."""
    seen = read(talk)
    if not seen.requests:
        return Reply((Text("Tell me what to build, and I will write it."),))
    if not talk.has_tool(WRITE):
        brief = briefs.parse(seen.requests[0].text)
        return Reply((Text(words.without_tools(compose(brief))),))
    if talk.has_tool(EDITOR) and memory.should_look(seen):
        return _look(talk, [memory.CARRIER])
    mine = role(talk)
    aim = target(seen, mine, broken_link=broken_link)
    if aim is None:
        return Reply((Text(words.UNKNOWN),))
    if mine.kind == "plan" and not seen.told[PLAN] and seen.refused[PLAN] < MAX_ATTEMPTS:
        return _tell_plan(talk, aim, seen)
    return _write(talk, aim, seen, mine)


def _look(talk: Conversation, paths: list[str]) -> Reply:
    thought = (
        (Thinking("I look at how the site is made before changing it."),) if talk.thinks else ()
    )
    shown = paths if talk.parallel_tools else paths[:1]
    calls = (ToolUse(EDITOR, {"command": "view", "path": path}) for path in shown)
    return Reply((*thought, *calls))


def _tell_plan(talk: Conversation, aim: Target, seen: Transcript) -> Reply:
    thought = (Thinking(words.thought(aim)),) if talk.thinks else ()
    existing = frozenset(path for request in seen.requests for path in request.files)
    return Reply((*thought, Text(words.planning(aim)), plan.call(talk, aim, existing)))


def _write(talk: Conversation, aim: Target, seen: Transcript, mine: Role) -> Reply:
    unseen = [path for path in _to_look_at(talk, aim, seen) if path not in seen.viewed]
    if unseen:
        return _look(talk, unseen)
    blocks = tuple(_work(talk, aim, seen))
    return Reply(blocks or (Text(words.closing(aim, seen, mine, _given_up(seen))),))


def _to_look_at(talk: Conversation, aim: Target, seen: Transcript) -> Iterator[str]:
    """Files that are to be changed and were never seen, or that were refused because of that."""
    if not talk.has_tool(EDITOR):
        return
    for path in aim.wanted:
        hidden = path in aim.unseen and path not in seen.texts
        if (hidden and not seen.refused[path]) or (
            0 < seen.refused[path] < MAX_ATTEMPTS and "view" in seen.reasons[path].lower()
        ):
            yield path


def _work(talk: Conversation, aim: Target, seen: Transcript) -> Iterator[OutputBlock]:
    """The calls still to be made, with a word before the first."""
    calls = list(_calls(talk, aim, seen))
    if not calls:
        return
    if talk.thinks and not seen.working:
        yield Thinking(words.thought(aim))
    if not seen.working:
        yield Text(words.opening(aim, seen, len({str(call.input["path"]) for call in calls})))
    elif talk.thinks:
        yield Thinking(words.progress(calls, seen))
    limit = len(calls) if talk.parallel_tools else 1
    for index, call in enumerate(calls[:limit]):
        if talk.thinks and index and _is_page(call) and not _is_page(calls[index - 1]):
            yield Thinking("Style and pictures are in place. Now the pages that use them.")
        yield call


def _calls(talk: Conversation, aim: Target, seen: Transcript) -> Iterator[ToolUse]:
    for path, wanted in aim.wanted.items():
        if seen.texts.get(path) != wanted and seen.refused[path] < MAX_ATTEMPTS:
            yield from _change(talk, path, seen, wanted)
    if talk.has_tool(DELETE):
        for path in aim.surplus:
            if path not in seen.deleted and seen.refused[path] < MAX_ATTEMPTS:
                yield ToolUse(DELETE, {"path": path})


def _change(talk: Conversation, path: str, seen: Transcript, wanted: str) -> Iterator[ToolUse]:
    """A small change by the editor where it is offered and was not refused; else the whole file."""
    now = seen.texts.get(path)
    small = edits.replacements(now, wanted) if now and talk.has_tool(EDITOR) else ()
    if not small or seen.refused[path]:
        yield ToolUse(WRITE, {"path": path, "content": wanted})
        return
    for old, new in small:
        yield ToolUse(
            EDITOR, {"command": "str_replace", "path": path, "old_str": old, "new_str": new}
        )


def _is_page(call: ToolUse) -> bool:
    return str(call.input["path"]).endswith(".html")


def _given_up(seen: Transcript) -> list[str]:
    return [path for path, count in seen.refused.items() if count >= MAX_ATTEMPTS]
