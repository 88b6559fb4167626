"""The project's folder: what of it may be shown, and what lies in it."""

# Importing pathlib costs a sandbox a megabyte.
# ruff: noqa: PTH112, PTH113, PTH118

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:  # at run time it would cost a megabyte
    Stamps = dict[str, tuple[int, int]]
    """Modification time (ns) and size of each file by its path in the folder."""

UNWATCHED = frozenset({"node_modules", "__pycache__"})
"""Folders of so many files, and so little of the page's own, that nobody waits for their changes."""


class Folder:
    """Everything that may be shown lies in it, wherever symbolic links point."""

    def __init__(self, path: str) -> None:
        self.path = os.path.realpath(path)

    def file(self, path: str) -> str | None:
        """The real place of a file, where it may be shown."""
        place = self._find(path)
        return place if place and os.path.isfile(place) else None

    def has_folder(self, path: str) -> bool:
        """Whether there is a folder that may be shown."""
        place = self._find(path)
        return place is not None and os.path.isdir(place)

    def changed_at(self, path: str) -> int:
        """When a file was put into its place, in nanoseconds; 0 where there is none."""
        try:
            return os.lstat(os.path.join(self.path, path)).st_ctime_ns
        except (OSError, ValueError):
            return 0

    def stamps(self) -> Stamps:
        """All files as they are now, but those of which nobody is told."""
        found: Stamps = {}
        stack = [self.path]
        while stack:
            try:
                with os.scandir(stack.pop()) as entries:
                    for entry in entries:
                        self._note(entry, found, stack)
            except OSError:
                continue  # it went away while it was looked at
        return found

    def _note(self, entry: os.DirEntry[str], found: Stamps, stack: list[str]) -> None:
        if hidden(entry.name):
            return
        if entry.is_dir(follow_symlinks=False):
            if entry.name not in UNWATCHED:
                stack.append(entry.path)
            return
        try:
            info = entry.stat()
        except OSError:
            return
        found[entry.path[len(self.path) + 1 :]] = (info.st_mtime_ns, info.st_size)

    def _find(self, path: str) -> str | None:
        """The real place of a path, where it lies in the folder and nothing on the way to it is hidden."""
        if "\0" in path or any(one == ".." or hidden(one) for one in path.split("/")):
            return None
        try:
            place = os.path.realpath(os.path.join(self.path, path))
        except OSError:
            return None  # links in a circle
        inside = place == self.path or place.startswith(self.path + os.sep)
        return place if inside else None


def hidden(name: str) -> bool:
    """Whether a file or folder is nobody's business: ``.git`` and ``.env`` are seldom meant to be seen."""
    return name.startswith(".") and name not in {".", ".well-known"}
