"""Where the project is to go: the text that each file is to hold, with edits by hand kept where they can be."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from local.model.agent import change, edits, memory
from local.model.agent.roles import Role
from local.model.agent.transcript import Transcript
from local.model.composer import brief as briefs
from local.model.composer.brief import Brief
from local.model.composer.compose import compose
from local.model.composer.site import Site

_LINK = re.compile(r'(<a\b[^>]*\bhref=")[^"]*(")')
_DEAD = "pages/nowhere.html"


@dataclass(frozen=True, slots=True)
class Target:
    """`wanted` is what each path shall hold that may have to be written; `unseen` must be looked at first."""

    brief: Brief
    site: Site
    wanted: Mapping[str, str]
    unseen: tuple[str, ...] = ()
    surplus: tuple[str, ...] = ()
    done: tuple[str, ...] = ()
    fresh: bool = True
    # Files whose edits by hand could not be kept.
    lost: tuple[str, ...] = ()


def target(seen: Transcript, role: Role, *, broken_link: bool = False) -> Target | None:
    """Replay the requests: the first makes a brief, each later one changes it.

    Where the project is older than the conversation, the brief is the one found in its files and every
    request changes it; without it there is no target for a mere change.
    """
    found = memory.find(seen)
    existing = {path for request in seen.requests for path in request.files}
    told = [request.text for request in seen.requests if request.text] or [""]
    if role.settled is not None:
        return _settled(role, role.settled, seen, existing)
    if found is None and existing and not change.starts_over(told[0]):
        return None
    before = found or briefs.parse(told[0])
    wishes = told if found else told[1:]
    for wish in wishes[:-1]:
        before, _ = change.apply(before, wish)
    after, done = change.apply(before, wishes[-1]) if wishes else (before, [])
    present = (existing - seen.deleted) | set(seen.start) if found or wishes else set()
    made = _made(seen, before, after, present)
    if not wishes and broken_link and seen.findings is None:
        made.wanted["index.html"] = _with_dead_link(made.wanted["index.html"])
    _repair(seen, made, compose(after))
    mine = compose(before).files
    surplus = tuple(path for path in mine if path in present and path not in compose(after).files)
    return Target(
        after,
        compose(after),
        role.only(made.wanted),
        tuple(path for path in made.unseen if role.may_write(path)),
        surplus if role.may_delete else (),
        tuple(done),
        not wishes,
        tuple(made.lost),
    )


def _settled(role: Role, brief: Brief, seen: Transcript, existing: set[str]) -> Target:
    """The target of one who works by a plan: the site as planned, of which some may be there."""
    site = compose(brief)
    if role.kind == "page":
        return Target(brief, site, role.only(site.files))
    # What is there and that nobody names is left alone: its writer had the same plan.
    named = {*role.named, *(seen.findings or ())}
    due = {path: text for path, text in site.files.items() if path in named or path not in existing}
    return Target(brief, site, due)


@dataclass(slots=True)
class _Made:
    wanted: dict[str, str]
    unseen: list[str]
    lost: list[str]


def _made(seen: Transcript, before: Brief, after: Brief, present: set[str]) -> _Made:
    mine, next_ = compose(before).files, compose(after).files
    made = _Made({}, [], [])
    for path, text in next_.items():
        prior = mine.get(path)
        if path not in present or prior is None:
            made.wanted[path] = text
            continue
        if prior == text:
            continue
        actual = seen.start.get(path)
        if actual is None:
            made.unseen.append(path)
        merged = edits.merge(prior, text, prior if actual is None else _like(actual, prior))
        if merged is None:
            made.lost.append(path)
        made.wanted[path] = text if merged is None else merged
    return made


def _like(actual: str, prior: str) -> str:
    """`actual` with the final line break that the way it was shown has taken."""
    return prior if actual.strip() == prior.strip() else actual


def _repair(seen: Transcript, made: _Made, site: Site) -> None:
    """What a report names is to be as composed, also where nothing else had to change."""
    for path in seen.findings or ():
        if path in site.files and path not in made.wanted:
            made.wanted[path] = site.files[path]


def _with_dead_link(page: str) -> str:
    links = list(_LINK.finditer(page))
    if not links:
        return page
    return page[: links[-1].start()] + _dead(links[-1]) + page[links[-1].end() :]


def _dead(link: re.Match[str]) -> str:
    return f"{link[1]}{_DEAD}{link[2]}"


def pages(site: Site) -> Iterator[str]:
    """The paths of the pages, the first one first."""
    found = [path for path in site.files if path.endswith(".html")]
    yield from sorted(found, key=lambda path: path != "index.html")
