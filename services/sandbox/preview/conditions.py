"""Whether all of a file is sent, a part, or nothing (RFC 9110, 13 and 14)."""

from __future__ import annotations

from .http import Request


def unchanged(request: Request, tag: str, modified: str) -> bool:
    """Whether the client has this very entity. ``modified`` is empty where only the tag tells."""
    wanted = request.header("if-none-match")
    if wanted:
        known = [_strong(one.strip()) for one in wanted.split(",")]
        return tag in known or "*" in known
    # Clients send back the very date that they were given.
    return bool(modified) and request.header("if-modified-since") == modified


def wanted_range(request: Request, tag: str, size: int) -> tuple[int, int] | None:
    """Begin and end of what is asked for, everything where that isn't a part; ``None`` beyond the end.

    A date in If-Range can't tell two files of one second apart, so only the tag counts.
    """
    if request.header("if-range", tag) != tag:
        return 0, size
    return _byte_range(request.header("range"), size)


def _byte_range(wanted: str, size: int) -> tuple[int, int] | None:
    unit, _, spans = wanted.partition("=")
    first, dash, last = (one.strip() for one in spans.partition("-"))
    numbers = all(not one or (one.isascii() and one.isdigit()) for one in (first, last))
    if unit.strip().lower() != "bytes" or not dash or not numbers or not (first or last):
        return 0, size
    if len(first) > 18 or len(last) > 18:
        return None if first else (0, size)
    if not first:
        begin, end = max(0, size - int(last)), size
    else:
        begin, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < begin:
            return 0, size
    return (begin, end) if begin < end else None


def _strong(tag: str) -> str:
    return tag[2:] if tag.startswith("W/") else tag  # noqa: FURB188 - removeprefix came with Python 3.9
