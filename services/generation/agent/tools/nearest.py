"""Where in a text something like a few lines is."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

_MOST_LINES = 5_000
_LONGEST_LINE = 400
_COMPARED = 60
_LIKE = 0.5
_AROUND = 2
_SHOWN = 24


def nearest(lines: Sequence[str], wanted: Sequence[str]) -> tuple[int, int] | None:
    """First and last line (from 1) around what is most like ``wanted``; ``None`` where nothing is.

    One line of those wanted, the longest, is looked for: its place says where the others would be.
    """
    bare = [line.strip()[:_LONGEST_LINE] for line in wanted]
    longest = max(range(len(bare)), key=lambda index: len(bare[index]), default=-1)
    if longest < 0 or not bare[longest]:
        return None
    at = _most_like(lines, bare[longest])
    if at is None:
        return None
    start = max(1, at - longest + 1 - _AROUND)
    end = min(len(lines), start + min(len(bare) + 2 * _AROUND, _SHOWN) - 1)
    return (start, end) if start <= at + 1 <= end else (max(1, at - 1), min(len(lines), at + 3))


def _most_like(lines: Sequence[str], wanted: str) -> int | None:
    """The exact comparison is slow: only the lines that could be like it at all are compared."""
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(wanted)
    rough: list[tuple[float, int]] = []
    for index, line in enumerate(lines[:_MOST_LINES]):
        bare = line.strip()[:_LONGEST_LINE]
        if bare:
            matcher.set_seq1(bare)
            # An upper bound: by length first, which costs nothing.
            if matcher.real_quick_ratio() >= _LIKE and (bound := matcher.quick_ratio()) >= _LIKE:
                rough.append((bound, index))
    best, found = _LIKE, None
    for bound, index in sorted(rough, key=lambda one: (-one[0], one[1]))[:_COMPARED]:
        if bound < best:
            break
        matcher.set_seq1(lines[index].strip()[:_LONGEST_LINE])
        if (ratio := matcher.ratio()) > best or (found is None and ratio >= best):
            best, found = ratio, index
    return found
