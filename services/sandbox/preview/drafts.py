"""Files that are still being written: ``<folder>/<generation>/<path in the project>``."""

from __future__ import annotations

import os
import time

from .folder import Folder

TYPE_CHECKING = False
if TYPE_CHECKING:  # at run time it would cost a megabyte
    from collections.abc import Iterator


class Draft:
    """One draft that is shown in place of its file."""

    __slots__ = ("place", "size", "written_at")

    def __init__(self, place: str, written_at: int, size: int) -> None:
        """``written_at`` in nanoseconds."""
        self.place = place
        self.written_at = written_at
        self.size = size


class Drafts:
    """A draft ends when its file is written, when it is discarded, and when nobody has written to it for a while."""

    def __init__(self, path: str, folder: Folder, seconds: float) -> None:
        """``folder`` is the project's; ``seconds``: how long a draft lasts by itself."""
        self._path = path
        self._folder = folder
        self._nanoseconds = int(seconds * 1e9)

    def alive(self) -> dict[str, Draft]:
        """What is shown in place of files, by their paths."""
        found: dict[str, Draft] = {}
        oldest = time.time_ns() - self._nanoseconds
        for path, entry in self._entries():
            try:
                info = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            # By when they were put into their places: a draft that was late is older than its file.
            ended = self._folder.changed_at(path)
            if info.st_ctime_ns <= max(ended, oldest):
                # Gone for good: it must not come back when its file is deleted.
                _remove(entry.path)
                continue
            known = found.get(path)
            if known is None or known.written_at < info.st_ctime_ns:
                found[path] = Draft(entry.path, info.st_ctime_ns, info.st_size)
        return found

    def _entries(self) -> Iterator[tuple[str, os.DirEntry[str]]]:
        for generation in _listed(self._path):
            stack = [generation]
            while stack:
                for entry in _listed(stack.pop().path):
                    if entry.is_dir(follow_symlinks=False):
                        stack.append(entry)
                    elif entry.is_file(follow_symlinks=False):
                        yield entry.path[len(generation.path) + 1 :], entry


def _listed(path: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return list(entries)
    except OSError:
        return []  # there is none, or it went away while it was looked at


def _remove(path: str) -> None:
    try:
        os.remove(path)  # noqa: PTH107 - importing pathlib costs a sandbox a megabyte
    except OSError:
        return
