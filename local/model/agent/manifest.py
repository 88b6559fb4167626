"""A project's files in a request, told apart from what is asked for.

Two forms are understood: a `<project_files>` element with one path a line and contents in
`<file path="…">` elements, and a plain list of paths under a heading.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

# A line such as "- css/style.css (1,204 bytes)" or "index.html\t5120\tsha256:…".
_FILE_LINE = re.compile(
    r"^\s*(?:[-*•]\s*)?`?(?P<path>(?:[\w.@+-]+/)*[\w@+-][\w.@+-]*\.[A-Za-z][A-Za-z0-9]{0,11})`?"
    r"(?:\s*[(:,|\t—–-].*|\s+\d.*)?\s*$"
)
_HEADING = re.compile(r"\b(?:files?|manifest)\b[^.!?]*:?\s*$", re.IGNORECASE)
_TAG = re.compile(r"^\s*</?[a-z_-]+>\s*$")
_LABEL = re.compile(
    r"^\s*(?:the )?(?:request|prompt|user(?: asks)?|task|instruction)s?\s*:\s*", re.IGNORECASE
)
# A project that is shown whole: its list, then the contents of its text files.
_PROJECT = re.compile(r"\A\s*<project_files>\n(?P<inside>.*)\n</project_files>", re.DOTALL)
_OPENS = re.compile(r'^<file path="([^"\n]+)">\n', re.MULTILINE)
_CLOSES = "\n</file>"


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for, the paths of the files that exist, and the contents that were shown."""

    text: str
    files: tuple[str, ...] = ()
    shown: dict[str, str] = field(default_factory=dict)


def split(text: str) -> Request:
    """Take the list of files out of `text`."""
    project = _PROJECT.match(text)
    if project:
        inside = project["inside"]
        shown = dict(_contents(inside))
        listed = _split_lines(inside.partition("<file path=")[0])
        return Request(text[project.end() :].strip(), listed.files, shown)
    return _split_lines(text)


def _contents(inside: str) -> Iterator[tuple[str, str]]:
    """Path and text of each `<file>` that is closed."""
    at = 0
    while match := _OPENS.search(inside, at):
        # The line break that ends the opening may be the one that begins the closing.
        end = inside.find(_CLOSES, match.end() - 1)
        if end < 0:
            return
        yield match[1], inside[match.end() : end]
        at = end + len(_CLOSES)


def _split_lines(text: str) -> Request:
    files: list[str] = []
    kept: list[str] = []
    for line in text.splitlines():
        match = _FILE_LINE.match(line)
        if match:
            files.append(match.group("path"))
        else:
            kept.append(line)
    if not files:
        return Request(text.strip())
    wanted = [_LABEL.sub("", line) for line in kept if not _is_frame(line)]
    return Request("\n".join(wanted).strip(), tuple(files))


def _is_frame(line: str) -> bool:
    """Whether a line only introduces the list or closes it."""
    return bool(_TAG.match(line)) or (bool(_HEADING.search(line)) and line.rstrip().endswith(":"))
