"""What the generation service needs of its peers, in its own words. Real ones in ``*_peer.py``, fakes in tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.generation.model import Check, Sandbox, Usage


@dataclass(frozen=True, slots=True)
class FileInfo:
    """One file of a project."""

    path: str
    size_bytes: int
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """Who writes, for fencing and for repeating a write without harm."""

    generation_id: str
    epoch: int
    operation_id: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a generation's work amounted to."""

    model: str
    usage: Usage
    check: Check | None
    """The last check; ``None`` where there was none."""


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a project's files."""

    number: int
    made: bool
    """Whether this generation made it; otherwise nothing differed and it is the head."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did. Without ``file`` the path is gone."""

    sandbox: Sandbox
    file: FileInfo | None = None


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file with its content, or without it where that is larger than was asked for."""

    info: FileInfo
    content: bytes | None


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended."""

    exit_code: int
    """-1 where it did not end by itself."""
    cause: str
    """``timeout`` or a signal's name; empty where it ended by itself."""
    output: str
    """The end of what it printed."""
    cut: bool
    """Whether it printed more than that."""


@dataclass(frozen=True, slots=True)
class ProjectChange:
    """One entry of projects' change log."""

    sequence: int
    project_id: str
    deleted: bool


class Projects(Protocol):
    """The projects service. Every method raises errors of ``kit.errors``."""

    async def check(self, project_id: str) -> str:
        """The model that a project names, empty for none. Raises ``NotFound`` where the caller has no such project."""

    async def manifest(self, project_id: str, version: int = 0) -> Sequence[FileInfo]:
        """All files of a project by path, as they are now or (not 0) in a version."""

    async def head(self, project_id: str) -> int:
        """Number of the version that is the project's head; 0 where there is none yet."""

    async def contents(
        self, project_id: str, paths: Sequence[str], version: int = 0
    ) -> dict[str, bytes]:
        """The content of some files, as they are now or (not 0) in a version."""

    async def file(self, project_id: str, path: str, most_bytes: int) -> StoredFile | None:
        """One file, its content where it has at most so many bytes; ``None`` where there is none."""

    async def commit_edits(self, project_id: str) -> None:
        """Keeps what the user changed since the head as a version, where there is something."""

    async def commit(
        self,
        project_id: str,
        origin: Origin,
        title: str,
        receipt: Receipt,
        *,
        partial: bool,
        keep_head: bool,
    ) -> Version | None:
        """Keeps the files as a version, once for a generation; ``None`` where the project has none at all."""

    def changes(self, after: int) -> AsyncIterator[ProjectChange]:
        """What happens to projects, from behind a sequence number on, without end."""


class Sandboxes(Protocol):
    """The sandbox service. Every method raises errors of ``kit.errors``."""

    async def ensure(self, project_id: str, generation_id: str) -> Sandbox:
        """The project's sandbox, made for this generation where there is none."""

    async def write(
        self,
        project_id: str,
        origin: Origin,
        path: str,
        content: bytes,
        expected: str | None = None,
    ) -> Written:
        """Writes a file into the sandbox and the store.

        ``expected`` is the hash that it must have before, empty where it must not exist; ``None``: whatever it is.
        Raises ``FailedPrecondition`` (FILE_CHANGED) with the hash that it has as metadata ``sha256``.
        """

    async def delete(
        self, project_id: str, origin: Origin, path: str, expected: str | None = None
    ) -> Written:
        """Removes a file from the sandbox and the store. One that is not there is no error."""

    async def rename(
        self, project_id: str, origin: Origin, path: str, to_path: str, expected: str
    ) -> Written:
        """Gives a file another path, where there must be no file."""

    async def run(
        self, project_id: str, origin: Origin, command: str, seconds: int, most_bytes: int
    ) -> Ran:
        """Runs a command in the project's folder. When it has ended, what it did to files is in the store.

        Cancelled, it ends the command. Raises ``NotFound`` (SANDBOX_NOT_FOUND) where there is no sandbox.
        """

    async def draft(
        self, project_id: str, origin: Origin, path: str, content: bytes, *, discard: bool = False
    ) -> None:
        """Shows a file that is not written yet; ``discard`` ends that, without a path for all of them."""

    async def discard(self, project_id: str, generation_id: str) -> None:
        """Closes the sandbox that this generation made, where it is still the project's."""
