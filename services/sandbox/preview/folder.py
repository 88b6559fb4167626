"""The folder that is shown, and what changes in it while somebody watches."""

# Importing pathlib costs a sandbox a megabyte.
# ruff: noqa: PTH110, PTH118

from __future__ import annotations

import os
import threading
import time

POLL_SECONDS = 0.1
REMEMBERED = 64
MAX_WATCHERS = 64

Snapshot = dict[str, tuple[int, int]]
"""Modification time (ns) and size of each file by its path in the folder."""


class Folder:
    """Everything that may be shown lies in it, wherever symbolic links point."""

    def __init__(self, path: str) -> None:
        self.path = os.path.realpath(path)
        self.changed = threading.Condition()
        self._log: list[list[str]] = []
        self._watchers = 0
        self._watching = False
        self.count = 0
        """How many changes were seen while somebody watched."""
        self.version = ""
        """Of the files after the last of them."""

    def fresh_version(self) -> str:
        """Of the files as they are now."""
        return _version(self.snapshot())

    def since(self, count: int) -> list[str]:
        """The paths that have changed after this many changes."""
        behind = self.count - count
        recent = self._log[-behind:] if behind else []
        return sorted({path for paths in recent for path in paths})

    def watch(self) -> bool:
        """One page more looks on, false where there are too many. Nobody scans the folder while there is none."""
        with self.changed:
            if self._watchers == MAX_WATCHERS:
                return False
            self._watchers += 1
            if not self._watching:
                self._watching = True
                # Taken now: what changes before the thread begins is a change.
                before = self.snapshot()
                threading.Thread(target=self._scan, args=(before,), daemon=True).start()
            return True

    def unwatch(self) -> None:
        """One page less."""
        with self.changed:
            self._watchers -= 1

    def find(self, path: str) -> str | None:
        """The real place of a path, where it lies in the folder and exists."""
        place = os.path.realpath(os.path.join(self.path, path.lstrip("/")))
        inside = place == self.path or place.startswith(self.path + os.sep)
        return place if inside and os.path.exists(place) else None

    def snapshot(self) -> Snapshot:
        """All files as they are now."""
        found: Snapshot = {}
        stack = [self.path]
        while stack:
            try:
                with os.scandir(stack.pop()) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            stack.append(entry.path)
                        else:
                            info = entry.stat(follow_symlinks=False)
                            path = entry.path[len(self.path) + 1 :]
                            found[path] = (info.st_mtime_ns, info.st_size)
            except OSError:
                continue  # it went away while it was looked at
        return found

    def _scan(self, before: Snapshot) -> None:
        while True:
            begun = time.monotonic()
            now = self.snapshot()
            cost = time.monotonic() - begun
            differing = {path for path, _ in before.items() ^ now.items()}
            with self.changed:
                if differing:
                    self.count += 1
                    self.version = _version(now)
                    self._log = [*self._log[1 - REMEMBERED :], sorted(differing)]
                    self.changed.notify_all()
                if not self._watchers:
                    self._watching = False
                    return
            before = now
            # A large project is looked at less often: never more than a tenth of one processor.
            time.sleep(max(POLL_SECONDS, cost * 10))


def _version(files: Snapshot) -> str:
    """Differs whenever the files do, and between two runs of this server."""
    return f"{hash(frozenset(files.items())) & (2**64 - 1):x}"
