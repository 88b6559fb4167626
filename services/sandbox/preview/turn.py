"""A server that finds its port taken by another version of itself takes its place.

Whoever starts servers may do so at the same time, with the same version or with different ones: a lock lets one after
the other end what is in its way, so that one always remains.
"""

# Importing pathlib costs a sandbox a megabyte.
# ruff: noqa: PTH103, PTH120, PTH123, PTH208

from __future__ import annotations

import fcntl
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:  # at run time it would cost a megabyte
    from _socket import socket
    from collections.abc import Callable

_KILL = 9
_TRIES, _TRY_SECONDS = 200, 0.01


def taken_over(
    path: str, drafts: str, port: int, version: str, listening: Callable[[int], socket | None]
) -> socket | None:
    """A socket that listens on the port; ``None`` where the same version, or somebody else's server, has it."""
    folder = os.path.dirname(drafts)
    os.makedirs(folder, exist_ok=True)
    # Of the folder itself: no file has to be made, and the lock ends with whoever holds it.
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ended = _end_others(f"main({path!r}, {drafts!r}, {port}, ", f"version={version!r}")
        listener = listening(port)
        for _ in range(_TRIES if ended else 0):
            if listener is not None:
                break
            time.sleep(_TRY_SECONDS)  # it has been told to end, and holds the port until it has
            listener = listening(port)
        return listener
    finally:
        os.close(lock)


def _end_others(call: str, same: str) -> bool:
    """Ends the servers of the same folder and port that aren't of the same version; whether there were any."""
    found = False
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                said = file.read().decode("utf-8", "replace")
            if call in said and same not in said:
                os.kill(int(name), _KILL)
                found = True
        except OSError:
            continue  # it has ended, or is another user's
    return found
