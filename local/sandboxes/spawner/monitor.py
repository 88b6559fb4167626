"""bubblewrap's monitor: the one process of a jail that stands outside it, and its only handle."""

from __future__ import annotations

from pathlib import Path


def first_process(monitor: int) -> int | None:
    """Process 1 of the jail whose monitor is ``monitor``, as this machine counts; None if gone."""
    try:
        children = Path(f"/proc/{monitor}/task/{monitor}/children").read_text().split()
    except OSError:
        return None
    return int(children[0]) if children else None
