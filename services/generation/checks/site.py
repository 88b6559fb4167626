"""A whole site: what each file says, whether its references lead somewhere, and what of that is new."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, lru_cache

import structlog

from services.generation.checks.addresses import Target, target
from services.generation.checks.drawing import read_drawing
from services.generation.checks.page import read_page
from services.generation.checks.reading import IdReference, Kind, Problem, Reading, Reference
from services.generation.checks.script import read_json, read_script
from services.generation.checks.stylesheet import read_stylesheet
from services.generation.model import Finding

_log = structlog.get_logger(__name__)
Files = Mapping[str, bytes | None]
"""A site's files by path; ``None`` for the content of one that is there and is not looked into."""
MOST_BYTES = 512 * 1024
"""Of one file; larger ones are not looked into."""
_MOST_MESSAGE = 300
# What a browser understands without anybody having made it.
_OWN_FRAGMENTS = ("", "top")


def _text(read: Callable[[str], Reading]) -> Callable[[bytes], Reading]:
    return lambda content: read(content.decode(errors="replace").removeprefix("\ufeff"))


_READERS: dict[str, Callable[[bytes], Reading]] = {
    "css": _text(read_stylesheet),
    "htm": _text(read_page),
    "html": _text(read_page),
    "js": _text(read_script),
    "json": _text(read_json),
    "mjs": _text(read_script),
    "svg": read_drawing,
    "webmanifest": _text(read_json),
}
_PAGES = frozenset({"htm", "html"})


def readable(path: str) -> bool:
    """Whether a file of this name is looked into."""
    return _kind(path) in _READERS


def findings(files: Files) -> list[Finding]:
    """All that is wrong with a site, by path and line. Raises nothing, whatever the files hold."""
    site = _Site(files)
    found = {finding for path in files for finding in site.of_file(path)}
    return sorted(found, key=lambda one: (one.path, one.line, one.rule, one.message))


def blamed(before: Files, after: Files) -> list[Finding]:
    """What is wrong with ``after`` and was not wrong with ``before``, wherever in its file it stood."""
    known = Counter(_name(finding) for finding in findings(before))
    new: list[Finding] = []
    for finding in findings(after):
        if known[_name(finding)]:
            known[_name(finding)] -= 1
        else:
            new.append(finding)
    return new


def _name(finding: Finding) -> tuple[str, str, str]:
    # Its line moves with every edit above it, also where the message tells a line.
    return finding.path, finding.rule, finding.message.partition(" (line ")[0]


class _Site:
    def __init__(self, files: Files) -> None:
        self._files = files
        self._readings: dict[str, Reading | None] = {}

    def of_file(self, path: str) -> Iterator[Finding]:
        reading = self._reading(path)
        if reading is None:
            return
        for problem in reading.problems:
            yield _finding(path, problem)
        for reference in reading.references:
            if broken := self._broken(path, reading, reference):
                yield _finding(path, broken)
        for named in reading.id_references:
            if dangling := self._dangling(reading, named):
                yield _finding(path, dangling)

    def _reading(self, path: str) -> Reading | None:
        if path not in self._readings:
            content = self._files[path]
            small = content is not None and len(content) <= MOST_BYTES
            self._readings[path] = (
                _read(_kind(path), content) if small and content is not None else None
            )
        return self._readings[path]

    def _broken(self, path: str, reading: Reading, reference: Reference) -> Problem | None:
        place = target(reference.url, path, reading.base)
        if place is None or (not reference.url and reference.kind is Kind.LINK):
            return None
        found = path if place.page else self._found(place.path)
        if found is None:
            return self._missing(place, reference)
        return self._lost(found, place.fragment, reference)

    def _missing(self, place: Target, reference: Reference) -> Problem | None:
        name = place.path.rpartition("/")[2]
        if reference.kind is Kind.LINK and "." not in name and "200.html" in self._files:
            return None  # the site's script makes pages of its own
        shown = _shown(reference.url)
        if other := self._folded.get(place.path.casefold()):
            message = f"{shown} is written {other!r} there: upper and lower case differ."
            return Problem("case-mismatch", message, reference.line)
        if reference.kind is Kind.LINK:
            return Problem("broken-link", f"{shown} leads to no file.", reference.line)
        return Problem("missing-asset", f"{shown} is not there.", reference.line)

    def _lost(self, path: str, fragment: str, reference: Reference) -> Problem | None:
        reading = self._reading(path)
        # A path or a text behind the "#" is for a script, or for the browser.
        if (
            reading is None
            or _kind(path) not in _PAGES | {"svg"}
            or "/" in fragment
            or ":~:" in fragment
        ):
            return None
        if (
            fragment.lower() in _OWN_FRAGMENTS
            or fragment in reading.ids
            or fragment.startswith("!")
        ):
            return None
        if self._made_by_script(reading, fragment):
            return None
        message = f"{_shown(reference.url)}: there is no id {fragment!r} in {path}."
        return Problem("broken-anchor", message, reference.line)

    def _dangling(self, reading: Reading, named: IdReference) -> Problem | None:
        if named.target in reading.ids or self._made_by_script(reading, named.target):
            return None
        message = f"{named.attribute} names the id {named.target!r}, which is not on the page."
        return Problem("broken-id-reference", message, named.line)

    def _made_by_script(self, reading: Reading, name: str) -> bool:
        """Whether a script names it: then it may make the element that is not in the file."""
        return any(name in text for text in (*reading.scripts, *self._scripts))

    def _found(self, path: str) -> str | None:
        if path in self._files:
            return path
        page = f"{path.rstrip('/')}/index.html".lstrip("/")
        return page if page in self._files else None

    @cached_property
    def _folded(self) -> dict[str, str]:
        return {path.casefold(): path for path in self._files}

    @cached_property
    def _scripts(self) -> list[str]:
        paths = [path for path in self._files if _kind(path) in {"js", "mjs"}]
        readings = [self._reading(path) for path in paths]
        return [text for reading in readings if reading for text in reading.scripts]


@lru_cache(maxsize=256)
def _read(kind: str, content: bytes) -> Reading | None:
    """One file; ``None`` where nothing can be said. What did not change is not read again."""
    reader = _READERS.get(kind)
    if reader is None:
        return None
    try:
        return reader(content)
    except Exception as exc:  # noqa: BLE001 - a parser's own fault is not the site's
        _log.warning("file not checked", kind=kind, error=type(exc).__name__)
        return None


def _kind(path: str) -> str:
    name, dot, kind = path.rpartition(".")
    return kind.lower() if dot and name else ""


def _finding(path: str, problem: Problem) -> Finding:
    message = "".join(char if char.isprintable() else "\ufffd" for char in problem.message)
    cut = message if len(message) <= _MOST_MESSAGE else f"{message[: _MOST_MESSAGE - 1]}…"
    # Half a surrogate pair has no UTF-8.
    clean = cut.encode("utf-8", "replace").decode()
    return Finding(path, problem.rule, clean, max(0, problem.line))


def _shown(url: str) -> str:
    return repr(url if len(url) <= 120 else f"{url[:119]}…")
