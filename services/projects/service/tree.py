"""A project's files while the steps of a write are applied to them, in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime

from kit.errors import FailedPrecondition, Invalid, NotFound
from services.projects.model import (
    Content,
    DeleteStep,
    FileEntry,
    Operation,
    Put,
    RenameStep,
    WriteResult,
)


class Tree:
    """Files by their paths. No file lies where another path needs a folder."""

    def __init__(self, files: Iterable[FileEntry]) -> None:
        """The files before the write."""
        self._files = {entry.path: entry for entry in files}
        self._before = dict(self._files)
        self._folders = Counter(folder for path in self._files for folder in _folders(path))
        self._touched: dict[str, None] = {}
        self.size_bytes = sum(entry.content.size_bytes for entry in self._files.values())

    @property
    def file_count(self) -> int:
        """How many files there are."""
        return len(self._files)

    def apply(self, operation: Operation, now: datetime) -> None:
        """Takes one step. Raises ``FailedPrecondition`` (FILE_CHANGED), ``NotFound`` or ``Invalid``."""
        match operation:
            case Put():
                self._put(operation, now)
            case DeleteStep():
                self._delete(operation)
            case RenameStep():
                self._rename(operation, now)

    def result(self) -> WriteResult:
        """What has become of the paths that steps named."""
        return WriteResult(
            files=tuple(self._files[path] for path in self._touched if path in self._files),
            deleted_paths=tuple(path for path in self._touched if path not in self._files),
        )

    def gone(self) -> list[str]:
        """Paths that were files before and are not now."""
        return [path for path in self._before if path not in self._files]

    def written(self) -> list[FileEntry]:
        """Files that are other than before."""
        return [entry for path, entry in self._files.items() if self._before.get(path) != entry]

    def _put(self, put: Put, now: datetime) -> None:
        path = put.step.path
        self._check(path, put.step.expected_sha256, wanted=put.content)
        known = self._files.get(path)
        if known and known.content == put.content:
            now = known.updated_at
        self._set(path, put.content, now)

    def _delete(self, step: DeleteStep) -> None:
        self._touched[step.path] = None
        if step.path in self._files:
            self._check(step.path, step.expected_sha256)
            self._remove(step.path)

    def _rename(self, step: RenameStep, now: datetime) -> None:
        entry = self._files.get(step.from_path)
        if entry is None:
            raise NotFound(f"there is no file '{step.from_path}'", reason="FILE_NOT_FOUND")
        self._check(step.from_path, step.expected_sha256)
        if step.to_path != step.from_path:
            self._touched[step.from_path] = None
            self._remove(step.from_path)
            self._set(step.to_path, entry.content, now)
        self._touched[step.to_path] = None

    def _check(self, path: str, expected: str | None, wanted: Content | None = None) -> None:
        if expected is None:
            return
        known = self._files.get(path)
        # What is there already is what is wanted: the same write came before.
        if known and known.content == wanted:
            return
        actual = known.content.sha256 if known else ""
        if actual != expected:
            raise FailedPrecondition(
                f"the file '{path}' is not what it was expected to be",
                reason="FILE_CHANGED",
                metadata={"path": path, "sha256": actual},
            )

    def _set(self, path: str, content: Content, at: datetime) -> None:
        self._touched[path] = None
        if path in self._files:
            self._remove(path)
        self._check_place(path)
        self._files[path] = FileEntry(path, content, at)
        self._folders.update(_folders(path))
        self.size_bytes += content.size_bytes

    def _remove(self, path: str) -> None:
        entry = self._files.pop(path)
        self._folders.subtract(_folders(path))
        self.size_bytes -= entry.content.size_bytes

    def _check_place(self, path: str) -> None:
        if self._folders[path] > 0:
            raise Invalid.field("path", f"'{path}' is a folder of the project")
        for folder in _folders(path):
            if folder in self._files:
                raise Invalid.field(
                    "path", f"'{path}' can't lie in '{folder}', which is a file of the project"
                )


def _folders(path: str) -> Iterator[str]:
    """The folders that a path lies in, for example ``a`` and ``a/b`` for ``a/b/c.txt``."""
    end = path.find("/")
    while end != -1:
        yield path[:end]
        end = path.find("/", end + 1)
