"""HTTP ranges: one range of a file of known size."""

from __future__ import annotations

import re

_ONE_RANGE = re.compile(r"^bytes=([0-9]{0,19})-([0-9]{0,19})$")


def requested_range(asked: str, size: int) -> tuple[int, int, int]:
    """First byte, byte after the last, and status: 206, 416, or 200 for the whole file.

    What is no single range of bytes counts as no range at all, as RFC 9110 lets a server choose.
    """
    match = _ONE_RANGE.match(asked.replace(" ", ""))
    if match is None or match[0] == "bytes=-":
        return 0, size, 200
    first, last = match[1], match[2]
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(int(last) + 1 if last else size, size)
    if start >= end:
        return 0, 0, 416
    return start, end, 206
