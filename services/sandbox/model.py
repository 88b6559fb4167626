"""What this service knows: sandboxes, the files in them and the writes to them. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import IO

SITE = "/home/user/site"
"""The project's folder in a sandbox. Only what lies in it is the project."""
ASIDE = "/home/user/.sandwright"
"""Our own folder in a sandbox: the preview server, files on their way in, and drafts."""
DRAFTS = f"{ASIDE}/drafts"
"""Files that are still being written, by generation and path: the preview shows them in place of the project's."""
PREVIEW_PORT = 8000


class Status(StrEnum):
    """States of a sandbox."""

    CREATING = "creating"
    ACTIVE = "active"
    PAUSED = "paused"
    CLOSED = "closed"


class CloseReason(StrEnum):
    """Why a sandbox was closed."""

    USER = "user"
    EXPIRED = "expired"
    FAILED = "failed"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Sandbox:
    """One sandbox of a project."""

    sandbox_id: str
    project_id: str
    owner_id: str
    vendor_id: str
    """The vendor's own id; empty before the vendor has answered."""
    status: Status
    close_reason: CloseReason | None
    url: str
    """Where port 8000 is reached; empty until it is active."""
    generation_id: str
    """The generation that it was made for; empty where a user asked."""
    attempt: int
    """Counts who tried to make it: whoever holds a lower number has been given up on."""
    unsettled: bool
    """Whether its files may differ from the store's: a write has not ended, or the store's files were reset."""
    dirt: int
    """Counts what made it unsettled."""
    reset: bool
    """Whether it is unsettled because the store's files were set back: what the store has not must go."""
    removing: tuple[str, ...]
    """Paths that writes which have not ended take away: what is there may be what the store has no more."""
    persistent: bool
    """Whether it is paused at its end instead of closed."""
    created_at: datetime
    started_at: datetime
    """When it was asked for or last woken: its longest life counts from here."""
    expires_at: datetime
    """When it ends by itself; of one that sleeps it says nothing, its time stands still."""
    used_at: datetime
    """When it was last used, to about a quarter of the time after which it counts as idle."""
    paused_at: datetime | None
    """When it was put to sleep; kept while it is being woken."""
    rest_seconds: float
    """What was left of its life when it was put to sleep."""
    closed_at: datetime | None

    def ending(self, moment: datetime) -> Sandbox:
        """The same with another end."""
        return replace(self, expires_at=moment)

    @property
    def waking(self) -> bool:
        """Whether it slept and is being made to run again: where that fails it sleeps on."""
        return self.status is Status.CREATING and self.paused_at is not None


@dataclass(frozen=True, slots=True)
class Size:
    """What a sandbox takes while it runs, and whose prices hold for it."""

    deployment: str
    place: str
    """A name in ``prices.toml``."""
    cpu_count: float
    memory_mib: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What a user's sandboxes have used, and the limits. Days and months are those of UTC."""

    active: int
    """Those that run or are being made."""
    max_active: int
    paused: int
    seconds_today: float
    max_seconds_a_day: int
    """0: any number."""
    day_resets_at: datetime
    seconds_this_month: float
    cost_usd_this_month: float
    prices_as_of: str
    commands_today: int


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file as the store has it."""

    path: str
    size_bytes: int
    sha256: str
    media_type: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes in a temporary file, or a stretch of one. Whoever made it closes it."""

    file: IO[bytes]
    size: int
    offset: int = 0
    """Where in the file they begin."""

    def piece(self, begin: int, size: int) -> bytes:
        """Some of the bytes. By position, since several may read the same content at the same time."""
        self.file.seek(self.offset + begin)
        return self.file.read(max(0, min(size, self.size - begin)))

    def close(self) -> None:
        """Gives the file back."""
        self.file.close()


@dataclass(frozen=True, slots=True)
class Put:
    """Writes the whole content of one file."""

    path: str
    content: Content
    expected_sha256: str | None = None
    """What the file must have before; empty: it must not exist; ``None``: whatever it is."""


@dataclass(frozen=True, slots=True)
class Delete:
    """Removes one file."""

    path: str
    expected_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Rename:
    """Gives one file another path; what was there is replaced."""

    from_path: str
    to_path: str
    expected_sha256: str | None = None


Step = Put | Delete | Rename


@dataclass(frozen=True, slots=True)
class Origin:
    """Who writes; see ``WriteOrigin`` in the contract."""

    generation_id: str = ""
    epoch: int = 0
    operation_id: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did: files as they are now, and paths that are gone."""

    files: tuple[StoredFile, ...]
    deleted_paths: tuple[str, ...]
    repeated: bool
    """Whether this is what an earlier write with the same operation id did: nothing was changed now."""


class Kind(StrEnum):
    """Kinds of directory entry."""

    FILE = "file"
    DIRECTORY = "directory"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a sandbox's file system, by its absolute path."""

    path: str
    kind: Kind
    """Of a symbolic link the kind of what it points to, where the vendor tells."""
    size_bytes: int
    modified_at: datetime
    symlink_target: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """A regular file as it was seen in a sandbox, without its content."""

    size_bytes: int
    modified_at: datetime
    mark: str
    """Another one wherever the content may be another."""


@dataclass(frozen=True, slots=True)
class Scan:
    """What a folder holds, by absolute paths."""

    files: Mapping[str, Seen]
    others: frozenset[str]
    """What is neither a regular file nor a folder, such as a link."""
    complete: bool
    """False where a folder could not be read: what is missing may be there."""
    folders: frozenset[str] = frozenset()
    ignored: frozenset[str] = frozenset()
    """What was left out, files and folders. What lies in such a folder is not told."""


@dataclass(frozen=True, slots=True)
class FilesListed:
    """All files there are, by path."""

    files: tuple[tuple[str, Seen], ...]


@dataclass(frozen=True, slots=True)
class FileChanged:
    """A file was made or changed."""

    path: str
    seen: Seen


@dataclass(frozen=True, slots=True)
class FileRemoved:
    """A file was removed."""

    path: str


@dataclass(frozen=True, slots=True)
class SandboxGone:
    """The sandbox ended or fell asleep."""


FileEvent = FilesListed | FileChanged | FileRemoved | SandboxGone


@dataclass(frozen=True, slots=True)
class Metrics:
    """What a sandbox uses. Sizes in bytes."""

    cpu_count: float
    cpu_used_percent: float
    """In percent of one processor."""
    memory_used: int
    memory_total: int
    disk_used: int
    disk_total: int


@dataclass(frozen=True, slots=True)
class Stats:
    """What the project's sandbox uses."""

    sandbox: Sandbox
    metrics: Metrics
    file_count: int
    file_bytes: int
    commands_run: int


@dataclass(frozen=True, slots=True)
class Report:
    """What the projects service is to know of a project's sandbox."""

    project_id: str
    owner_id: str
    sandbox_id: str
    status: Status
    revision: int


class ChangeKind(StrEnum):
    """What happens to projects and matters here."""

    PROJECT_DELETED = "project_deleted"
    FILES_RESET = "files_reset"
    PROJECT_UPDATED = "project_updated"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that happened to a project."""

    sequence: int
    project_id: str
    owner_id: str
    kind: ChangeKind
    persistent: bool = False
    """Of an update: whether the project's sandbox is kept."""
