"""Lines on a terminal, each with the name of who says it."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from local.stack.child import Say

_COLOURS = {
    "supervisor": "1",
    "postgres": "34",
    "sandboxes": "36",
    "model": "35",
    "projects": "32",
    "sandbox": "33",
    "generation": "95",
    "gateway": "94",
}
_WIDTH = max(map(len, _COLOURS))


def printer(stream: TextIO) -> Say:
    """Prints prefixed lines, in colour on a terminal."""
    coloured = stream.isatty()

    def say(name: str, line: str) -> None:
        prefix = f"{name:<{_WIDTH}} │"
        if coloured:
            prefix = f"\033[{_COLOURS.get(name, '0')}m{prefix}\033[0m"
        # A terminal that was closed must not end what it showed.
        with suppress(OSError):
            print(prefix, line, file=stream, flush=True)

    return say


def log_file(path: Path) -> Say:
    """Writes prefixed lines into a file, anew."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return printer(path.open("w", encoding="utf-8"))


def fail(lines: list[str]) -> None:
    """Ends the process with exit code 2 and these lines."""
    for line in lines:
        print(line, file=sys.stderr)
    raise SystemExit(2)
