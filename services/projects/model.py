"""What the projects service speaks of. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class SandboxStatus(StrEnum):
    """What a project's sandbox is doing, as the project shows it."""

    INACTIVE = "inactive"
    ACTIVE = "active"
    PAUSED = "paused"


class VersionCause(StrEnum):
    """Why a version was made."""

    GENERATION = "generation"
    EDIT = "edit"


class ChangeKind(StrEnum):
    """What the change log tells."""

    PROJECT_DELETED = "project_deleted"
    FILES_RESET = "files_reset"
    PROJECT_UPDATED = "project_updated"


@dataclass(frozen=True, slots=True)
class User:
    """A person with an account."""

    user_id: str
    email: str
    """As it was given; compared without case."""
    display_name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session's newest pair of tokens."""

    user: User
    access_token: str
    access_expires_at: datetime
    refresh_token: str
    refresh_expires_at: datetime


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """What is known of a refresh token that somebody shows."""

    session_id: str
    user: User
    used: bool
    """Whether it was exchanged already: whoever shows it again has stolen it, or was stolen from."""
    over: bool
    """Whether it has expired or its session has ended."""


@dataclass(frozen=True, slots=True)
class Project:
    """A folder of files with its history and, at times, a sandbox."""

    project_id: str
    owner_id: str
    name: str
    description: str
    head_version: int
    """0 where there is none yet."""
    last_version: int
    """The highest number given so far; above the head where a version was kept beside it."""
    sandbox_id: str
    sandbox_status: SandboxStatus
    file_count: int
    size_bytes: int
    created_at: datetime
    updated_at: datetime
    persistent_sandbox: bool
    """Whether its sandbox is paused at its end instead of closed."""
    model: str
    """Which model answers its prompts where they name none; empty for the platform's default."""


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a file, by what identifies it."""

    sha256: str
    """64 lower-case hexadecimal digits."""
    size_bytes: int


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a project or of a version."""

    path: str
    content: Content
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Version:
    """A project's files at one moment."""

    number: int
    cause: VersionCause
    partial: bool
    title: str
    generation_id: str
    file_count: int
    size_bytes: int
    created_at: datetime
    head: bool
    receipt: bytes = b""
    """What a model's work on it amounted to, serialized; empty where none did."""


@dataclass(frozen=True, slots=True)
class Commit:
    """What a request for a version came to."""

    version: Version | None
    """The version that was made, or the head; ``None`` where the project has no version."""
    created: bool


@dataclass(frozen=True, slots=True)
class Origin:
    """Who writes, for fencing and for repeating a write without harm."""

    generation_id: str = ""
    epoch: int = 0
    operation_id: str = ""


@dataclass(frozen=True, slots=True)
class PutStep:
    """Begins a file; its content follows."""

    path: str
    expected_sha256: str | None
    """The content that the file must have before; empty: it must not exist; ``None``: whatever it is."""


@dataclass(frozen=True, slots=True)
class DeleteStep:
    """Removes a file."""

    path: str
    expected_sha256: str | None


@dataclass(frozen=True, slots=True)
class RenameStep:
    """Gives a file another path."""

    from_path: str
    to_path: str
    expected_sha256: str | None


@dataclass(frozen=True, slots=True)
class Put:
    """A file whose content has arrived."""

    step: PutStep
    content: Content


Operation = Put | DeleteStep | RenameStep
"""One step of a write, complete."""


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What a write did."""

    files: tuple[FileEntry, ...]
    """Those that were put or renamed, as they are now."""
    deleted_paths: tuple[str, ...]
    repeated: bool = False
    """Whether this is what an earlier write with the same operation id did: nothing was changed now."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that happened to a project."""

    sequence: int
    project_id: str
    owner_id: str
    created_at: datetime
    kind: ChangeKind
    version: int
    """Of a reset: the version whose files the project has now, 0 for none at all."""
    persistent_sandbox: bool
    """Of an update: the project's flag as it is now."""
