"""One turn: look at what is there, decide what is missing, write it, say so."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from local.model.agent import change, manifest, memory, transcript
from local.model.agent.manifest import Request
from local.model.agent.transcript import DELETE, EDITOR, WRITE, Transcript
from local.model.composer import brief as briefs
from local.model.composer.brief import Brief
from local.model.composer.compose import compose
from local.model.composer.site import Site
from local.model.model import Conversation, OutputBlock, Reply, Text, Thinking, ToolUse

# A file that was refused this often is left alone, and the answer says so.
MAX_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the project is to go: `site` is wanted, `present` is what each path holds now."""

    site: Site
    present: dict[str, str]
    surplus: tuple[str, ...]
    done: tuple[str, ...] = ()
    fresh: bool = True
    # Files that somebody else has changed since, and that are nevertheless to be written.
    edited: tuple[str, ...] = ()


def respond(talk: Conversation) -> Reply:
    """The next answer to `talk`."""
    seen = transcript.read(talk)
    requests = [manifest.split(text) for text in seen.requests]
    if not requests:
        return Reply((Text("Tell me what to build, and I will write it."),))
    if not talk.has_tool(WRITE):
        return Reply((Text(_without_tools(requests[0].text)),))
    if talk.has_tool(EDITOR) and memory.should_look(seen, requests[0]):
        return _look(talk)
    plan = _plan(requests, seen)
    if plan is None:
        return Reply((Text(_UNKNOWN),))
    blocks = tuple(_work(talk, plan, seen))
    return Reply(blocks or (Text(_closing(plan, seen)),))


_UNKNOWN = (
    "I am a composer without a language model and can only change sites that I can recognise. I found "
    "no trace of my own in css/theme.css. Describe the whole site and I will write it anew."
)


def _look(talk: Conversation) -> Reply:
    thought = (
        (Thinking("I look at how the site is made before changing it."),) if talk.thinks else ()
    )
    call = ToolUse(EDITOR, {"command": "view", "path": memory.CARRIER})
    return Reply((*thought, call))


def _plan(requests: list[Request], seen: Transcript) -> Plan | None:
    """Replay the requests: the first makes a brief, each later one changes it.

    Where the project is older than the conversation, the brief is the one found in its files and every
    request changes it; without it there is no plan for a mere change.
    """
    existing = {path for request in requests for path in request.files}
    told = [request.text for request in requests if request.text] or [""]
    found = memory.find(seen, requests[0])
    if found is None and existing and not change.starts_over(told[0]):
        return None
    before = found or briefs.parse(told[0])
    wishes = told if found else told[1:]
    for wish in wishes[:-1]:
        before, _ = change.apply(before, wish)
    after, done = change.apply(before, wishes[-1]) if wishes else (before, [])
    site = compose(after)
    present = _composed(existing if found else set(), before) | seen.written
    mine = compose(before).files
    surplus = tuple(path for path in present if path not in site.files and path in mine)
    edited = _edited(requests[0].shown, mine, site)
    return Plan(site, present, surplus, tuple(done), not wishes, edited)


def _edited(shown: Mapping[str, str], mine: Mapping[str, str], site: Site) -> tuple[str, ...]:
    """Of the files shown, those that are no longer as composed and that the new site changes."""
    return tuple(
        path
        for path, text in shown.items()
        if path in site.files
        and text.strip() not in (mine.get(path, "").strip(), site.files[path].strip())
        and site.files[path] != mine.get(path)
    )


def _composed(existing: set[str], before: Brief) -> dict[str, str]:
    """What each file held when it was composed: what differs since is somebody's own edit, and stays."""
    composed = compose(before).files
    return {path: composed[path] for path in existing if path in composed}


def _work(talk: Conversation, plan: Plan, seen: Transcript) -> Iterator[OutputBlock]:
    """The calls still to be made, with a word before the first."""
    calls = list(_calls(talk, plan, seen))
    if not calls:
        return
    if talk.thinks and not seen.working:
        yield Thinking(_thought(plan))
    if not seen.working:
        yield Text(_opening(plan, len(calls)))
    elif talk.thinks:
        yield Thinking(_progress(calls, seen))
    limit = len(calls) if talk.parallel_tools else 1
    for index, call in enumerate(calls[:limit]):
        if talk.thinks and index and _is_page(call) and not _is_page(calls[index - 1]):
            yield Thinking("Style and pictures are in place. Now the pages that use them.")
        yield call


def _calls(talk: Conversation, plan: Plan, seen: Transcript) -> Iterator[ToolUse]:
    for path, content in plan.site.files.items():
        if plan.present.get(path) != content and seen.refused[path] < MAX_ATTEMPTS:
            yield ToolUse(WRITE, {"path": path, "content": content})
    if talk.has_tool(DELETE):
        for path in plan.surplus:
            if path not in seen.deleted and seen.refused[path] < MAX_ATTEMPTS:
                yield ToolUse(DELETE, {"path": path})


def _is_page(call: ToolUse) -> bool:
    return str(call.input["path"]).endswith(".html")


def _thought(plan: Plan) -> str:
    if plan.fresh:
        return (
            f"The prompt asks for {plan.site.about}. I settle name, colours and sections first, "
            "then write the shared styles and pictures, then the pages."
        )
    return "A change to a site that exists: only the files that differ need to be written."


def _opening(plan: Plan, count: int) -> str:
    files = "one file" if count == 1 else f"{count} files"
    if plan.fresh:
        return f"I’ll build “{plan.site.name}”, {plan.site.about}, in {files}."
    if plan.done:
        return f"I’ll do that: {files} to change."
    return f"I’ll bring {files} up to date."


def _progress(calls: list[ToolUse], seen: Transcript) -> str:
    again = [str(call.input["path"]) for call in calls if seen.refused[str(call.input["path"])]]
    if again:
        return f"{', '.join(again)} could not be written; I try again."
    return "On to the next file."


def _closing(plan: Plan, seen: Transcript) -> str:
    given_up = [path for path, count in seen.refused.items() if count >= MAX_ATTEMPTS]
    if given_up:
        return (
            f"I could not write {', '.join(given_up)}: {seen.reasons[given_up[0]]} "
            "Everything else is in place."
        )
    if plan.fresh:
        return f"“{plan.site.name}” is ready: open index.html. {_hint()}"
    if plan.done:
        changed = ", ".join(plan.done)
        return f"Done: I {changed}.{_overwritten(plan)}"
    return (
        "I did not find anything that I can change for this. As a composer without a language model I "
        "understand a new name, a colour, dark or light, and removing a section."
    )


def _overwritten(plan: Plan) -> str:
    if not plan.edited:
        return ""
    files = ", ".join(plan.edited)
    return f" I wrote {files} anew; the edits made there by hand are in the version before."


def _hint() -> str:
    return "You can ask for another name, a colour, dark or light, or for a section to be removed."


def _without_tools(request: str) -> str:
    site = compose(briefs.parse(manifest.split(request).text))
    return (
        f"I am the Sandwright composer. I would build “{site.name}”, {site.about}, in "
        f"{len(site.files)} files: {', '.join(site.files)}. "
        "To write them I need a tool named write_file that takes a path and its content."
    )
