"""Ends a command with all that it started: ``ending.py MARK PID``.

MARK is ``NAME=value`` of a variable that the command was given and its children inherit; it finds those that left the
session, too. PID is the command's own process, 0 where it is not known. Prints how many it had to end.
"""

# Importing pathlib would cost more than all the rest.
# ruff: noqa: PTH123, PTH208

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress

ROUNDS = 100
WAIT_SECONDS = 0.01


class Process:
    """One process as /proc shows it."""

    def __init__(self, pid: int) -> None:
        """Raises ``OSError`` where it is gone."""
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        self.pid = pid
        self.alive = fields[0] not in {b"Z", b"X"}
        self.parent, self.session = int(fields[1]), int(fields[3])

    def carries(self, mark: bytes) -> bool:
        """Whether it was given the variable. What is another user's can't be read and is not ours."""
        try:
            with open(f"/proc/{self.pid}/environ", "rb") as file:
                return mark in file.read().split(b"\0")
        except OSError:
            return False


def processes() -> list[Process]:
    """All that run, but for process 1 and this one."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) in {1, os.getpid()}:
            continue
        try:
            process = Process(int(name))
        except OSError:
            continue
        if process.alive:
            found.append(process)
    return found


def targets(mark: bytes, root: int, known: set[int]) -> set[int]:
    """What belongs to the command: by its mark, its session, or its parent."""
    alive = processes()
    mine = {os.getsid(0), os.getppid()}
    found = {
        one.pid
        for one in alive
        if one.carries(mark) or (root and root == one.session and root not in mine)
    }
    size = -1
    while size != len(found):
        size = len(found)
        found |= {one.pid for one in alive if one.parent in found | known}
    return found - mine


def main(mark: str, root: str) -> None:
    """Ends them until there are none: they may start others meanwhile."""
    ended: set[int] = set()
    for _ in range(ROUNDS):
        found = targets(mark.encode(), int(root), ended)
        if not found:
            break
        # Stopped first: what is stopped starts nobody else.
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in found:
                with suppress(OSError):
                    os.kill(pid, number)
        ended |= found
        time.sleep(WAIT_SECONDS)
    print(len(ended))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
