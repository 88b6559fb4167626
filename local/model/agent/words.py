"""What the composer says around its work."""

from local.model.agent.roles import Role
from local.model.agent.target import Target, pages
from local.model.agent.transcript import Transcript
from local.model.composer.site import Site
from local.model.model import ToolUse

UNKNOWN = (
    "I am a composer without a language model and can only change sites that I can recognise. I found "
    "no trace of my own in css/theme.css. Describe the whole site and I will write it anew."
)
_HINT = (
    "You can ask for another name, a colour, dark or light, another language, a page more, or for a "
    "section to be added or removed."
)


def thought(aim: Target) -> str:
    """Before the first call."""
    if aim.fresh:
        return (
            f"The prompt asks for {aim.site.about}. I settle name, colours and sections first, "
            "then write the shared styles and pictures, then the pages."
        )
    return "A change to a site that exists: only what differs needs to be written."


def planning(aim: Target) -> str:
    """Before a plan is told."""
    count = len(list(pages(aim.site)))
    return (
        f"The plan for “{aim.site.name}”: {count} {'page' if count == 1 else 'pages'}, one style."
    )


def opening(aim: Target, seen: Transcript, count: int) -> str:
    """Before the first call after a request."""
    files = "one file" if count == 1 else f"{count} files"
    if seen.findings is not None:
        return f"I’ll repair {files}."
    if aim.fresh:
        return f"I’ll build “{aim.site.name}”, {aim.site.about}, in {files}."
    if aim.done:
        return f"I’ll do that: {files} to change."
    return f"I’ll bring {files} up to date."


def progress(calls: list[ToolUse], seen: Transcript) -> str:
    """Between calls."""
    paths = dict.fromkeys(str(call.input["path"]) for call in calls)
    again = [path for path in paths if seen.refused[path]]
    if again:
        return f"{', '.join(again)} could not be written; I try again."
    return "On to the next file."


def closing(aim: Target, seen: Transcript, role: Role, given_up: list[str]) -> str:
    """When nothing is left to do."""
    if given_up:
        return (
            f"I could not write {', '.join(given_up)}: {seen.reasons[given_up[0]]} "
            "Everything else is in place."
        )
    if seen.findings is not None:
        return _repaired(seen)
    if role.kind != "single":
        return _in_team(aim, role)
    if aim.fresh:
        return f"“{aim.site.name}” is ready: open index.html. {_HINT}"
    if aim.done:
        return f"Done: I {', '.join(aim.done)}.{_lost(aim)}"
    return (
        "I did not find anything that I can change for this. As a composer without a language model I "
        "understand a new name, a colour, dark or light, a language, and adding or removing a page or a "
        "section."
    )


def _repaired(seen: Transcript) -> str:
    if seen.working:
        return "I have repaired what was found."
    return "I looked at what was found: the files are as I mean them, and I have nothing to repair."


def _in_team(aim: Target, role: Role) -> str:
    if role.kind == "plan":
        return "The plan and the shared files are in place; the pages can be written."
    if role.kind == "page":
        return f"{role.page} is written."
    return f"“{aim.site.name}” is complete: every page is there and has the shared style."


def _lost(aim: Target) -> str:
    if not aim.lost:
        return ""
    files = ", ".join(aim.lost)
    return f" I wrote {files} anew; the edits made there by hand are in the version before."


def without_tools(site: Site) -> str:
    """What would be built, where there is nothing to write with."""
    return (
        f"I am the Sandwright composer. I would build “{site.name}”, {site.about}, in "
        f"{len(site.files)} files: {', '.join(site.files)}. "
        "To write them I need a tool named write_file that takes a path and its content."
    )
