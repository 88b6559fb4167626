"""Edits of a file's text, as pure functions: exact first, then tolerant of white space, never by guessing.

``EditError`` says what the model needs to call again rightly.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.generation.agent.tools.nearest import nearest
from services.generation.agent.tools.viewing import numbered

_SHOWN_PLACES, _MOST_PLACES = 10, 1_000


class EditError(Exception):
    """The edit does not fit the text; its message is for the model."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """Put ``new`` where ``old`` is; ``old`` must be there once."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Insertion:
    """Put ``text`` behind a line, from 1; 0: before the first."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Edited:
    """The new text, and which of its lines are new: the first, from 1, and how many."""

    text: str
    line: int
    count: int


def edited(text: str, edit: Replacement | Insertion) -> Edited:
    """The text with the edit done. Raises ``EditError``."""
    # What ends with CRLF stays so, and the model, which never writes it, can still name what it sees.
    crlf = "\r\n" in text and text.count("\n") == text.count("\r\n")
    plain = text.replace("\r\n", "\n") if crlf else text
    if isinstance(edit, Insertion):
        done = _inserted(plain, edit)
    else:
        old, new = edit.old, edit.new
        if crlf:
            old, new = old.replace("\r\n", "\n"), new.replace("\r\n", "\n")
        done = _replaced(plain, old, new)
    if not crlf:
        return done
    return Edited(done.text.replace("\r\n", "\n").replace("\n", "\r\n"), done.line, done.count)


def _inserted(text: str, edit: Insertion) -> Edited:
    lines = _split(text)
    if edit.line > len(lines):
        raise EditError(
            f"insert_line: the file has {len(lines)} lines; {edit.line} is behind its end."
        )
    open_end = edit.line == len(lines) and bool(text) and not text.endswith("\n")
    added = edit.text if edit.text.endswith("\n") or open_end else f"{edit.text}\n"
    before = "".join(lines[: edit.line])
    if before and not before.endswith("\n"):
        before += "\n"
    return Edited(
        before + added + "".join(lines[edit.line :]), edit.line + 1, max(1, len(_split(added)))
    )


def _replaced(text: str, old: str, new: str) -> Edited:
    at = _places(text, old)
    if len(at) == 1:
        return _spliced(text, at[0], at[0] + len(old), new)
    if at:
        shown = [text.count("\n", 0, start) + 1 for start in at[:_SHOWN_PLACES]]
        raise _several(shown, len(at))
    return _replaced_loosely(text, old, new)


def _replaced_loosely(text: str, old: str, new: str) -> Edited:
    """By whole lines, whatever white space is around them; the new ones get the indentation that is there."""
    lines = _split(text)
    wanted = [line.strip() for line in _trimmed(old.split("\n"))]
    if not wanted:
        raise _missing(text, old, new)
    bare = [line.strip() for line in lines]
    found = [
        start
        for start in range(len(lines) - len(wanted) + 1)
        if bare[start] == wanted[0] and bare[start : start + len(wanted)] == wanted
    ]
    if len(found) > 1:
        raise _several([start + 1 for start in found[:_SHOWN_PLACES]], len(found))
    if not found:
        raise _missing(text, old, new)
    start, end = found[0], found[0] + len(wanted)
    put = _indented(new, old, lines[start:end])
    if put and lines[end - 1].endswith("\n"):
        put += "\n"
    begin = sum(map(len, lines[:start]))
    return _spliced(text, begin, begin + sum(map(len, lines[start:end])), put)


def _indented(new: str, old: str, there: list[str]) -> str:
    """``new`` moved from the indentation that ``old`` has to that of the lines that are there."""
    added = _trimmed(new.split("\n"))
    had = next((_indent(line) for line in old.split("\n") if line.strip()), "")
    has = next((_indent(line) for line in there if line.strip()), "")
    if had == has:
        return "\n".join(added)
    moved = []
    for line in added:
        own = _indent(line)
        if not line.strip():
            moved.append("")
        elif own.startswith(had):
            moved.append(has + line[len(had) :])
        else:
            # Further out than where the old text began: as much further out as there is room.
            out = len(had) - len(own)
            moved.append(has[: max(0, len(has) - out)] + line[len(own) :])
    return "\n".join(moved)


def _spliced(text: str, start: int, end: int, new: str) -> Edited:
    line = text.count("\n", 0, start) + 1
    return Edited(text[:start] + new + text[end:], line, max(1, len(_split(new))))


def _places(text: str, old: str) -> list[int]:
    """Where ``old`` begins, overlapping places included: two that overlap are not one."""
    found: list[int] = []
    start = text.find(old)
    while start != -1 and len(found) < _MOST_PLACES:
        found.append(start)
        start = text.find(old, start + 1)
    return found


def _several(lines: list[int], count: int) -> EditError:
    named = ", ".join(map(str, lines)) + (", …" if count > len(lines) else "")
    times = f"{count} times" if count < _MOST_PLACES else f"at least {_MOST_PLACES} times"
    return EditError(
        f"old_str: is there {times}, beginning in lines {named}. "
        "Give more of the lines around the one you mean."
    )


def _missing(text: str, old: str, new: str) -> EditError:
    said = "old_str: is not in the file."
    if new.strip() and len(at := _places(text, new)) == 1:
        line = text.count("\n", 0, at[0]) + 1
        said += f" new_str is there already, in line {line}."
    lines = _split(text)
    if near := nearest(lines, _split(old)):
        start, end = near
        said += f" The nearest lines are:\n{numbered(lines, start, end)}"
    return EditError(said)


def _split(text: str) -> list[str]:
    """Lines with their ends. Only line feeds end a line, as everywhere an editor counts."""
    parts = text.split("\n")
    lines = [f"{part}\n" for part in parts[:-1]]
    return [*lines, parts[-1]] if parts[-1] else lines


def _trimmed(lines: list[str]) -> list[str]:
    """Without blank lines at both ends."""
    start, end = 0, len(lines)
    while start < end and not lines[start].strip():
        start += 1
    while end > start and not lines[end - 1].strip():
        end -= 1
    return lines[start:end]


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" \t"))]
