"""Between messages of the protos and our own model."""

from __future__ import annotations

import posixpath
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from kit.errors import Invalid
from kit.paths import MAX_SEGMENT_BYTES, checked_path
from protos.files.v1 import files_pb2
from protos.projects.v1 import projects_pb2
from protos.sandbox.v1 import sandbox_pb2
from services.sandbox.model import (
    SITE,
    Change,
    ChangeKind,
    CloseReason,
    Delete,
    Entry,
    FileChanged,
    FileEvent,
    FileRemoved,
    FilesListed,
    Kind,
    Origin,
    Rename,
    Sandbox,
    SandboxGone,
    Seen,
    Stats,
    Status,
    StoredFile,
    Usage,
    Written,
)
from services.sandbox.service.intake import Begin, End, Message

_STATUSES = {
    Status.CREATING: sandbox_pb2.SANDBOX_STATUS_CREATING,
    Status.ACTIVE: sandbox_pb2.SANDBOX_STATUS_ACTIVE,
    Status.PAUSED: sandbox_pb2.SANDBOX_STATUS_PAUSED,
    Status.CLOSED: sandbox_pb2.SANDBOX_STATUS_CLOSED,
}
_REASONS = {
    None: sandbox_pb2.CLOSE_REASON_UNSPECIFIED,
    CloseReason.USER: sandbox_pb2.CLOSE_REASON_USER,
    CloseReason.EXPIRED: sandbox_pb2.CLOSE_REASON_EXPIRED,
    CloseReason.FAILED: sandbox_pb2.CLOSE_REASON_FAILED,
    CloseReason.LOST: sandbox_pb2.CLOSE_REASON_LOST,
}
_KINDS = {
    Kind.FILE: sandbox_pb2.ENTRY_TYPE_FILE,
    Kind.DIRECTORY: sandbox_pb2.ENTRY_TYPE_DIRECTORY,
    Kind.OTHER: sandbox_pb2.ENTRY_TYPE_UNSPECIFIED,
}
_CHANGES = {
    "project_deleted": ChangeKind.PROJECT_DELETED,
    "files_reset": ChangeKind.FILES_RESET,
    "project_updated": ChangeKind.PROJECT_UPDATED,
}
_MIB = 1024 * 1024
_INT32 = 2**31 - 1


def sandbox(found: Sandbox) -> sandbox_pb2.Sandbox:
    """A sandbox as its owner sees it."""
    return sandbox_pb2.Sandbox(
        sandbox_id=found.sandbox_id,
        project_id=found.project_id,
        status=_STATUSES[found.status],
        sandbox_url=found.url,
        preview_url=found.url,
        created_at=_time(found.created_at),
        # While it sleeps its time stands still.
        expires_at=None if found.status is Status.PAUSED else _time(found.expires_at),
        closed_at=_time(found.closed_at) if found.closed_at else None,
        close_reason=_REASONS[found.close_reason],
        persistent=found.persistent,
        paused_at=_time(found.paused_at) if found.paused_at else None,
    )


def created(found: Sandbox) -> sandbox_pb2.CreateSandboxResponse:
    """What CreateSandbox answers."""
    return sandbox_pb2.CreateSandboxResponse(
        message="Sandbox created successfully",
        sandbox_id=found.sandbox_id,
        sandbox_url=found.url,
        status=_STATUSES[found.status],
        expires_at=_time(found.expires_at),
    )


def entry(found: Entry) -> sandbox_pb2.SandboxEntry:
    """One entry of a sandbox's file system."""
    return sandbox_pb2.SandboxEntry(
        path=found.path.removeprefix(f"{SITE}/"),
        name=posixpath.basename(found.path),
        type=_KINDS[found.kind],
        size_bytes=min(found.size_bytes, _INT32),
        modified_at=_time(found.modified_at),
        symlink_target=found.symlink_target,
    )


def file_event(found: FileEvent, sequence: int) -> sandbox_pb2.SandboxFileEvent:
    """One thing that happened to the project's files in the sandbox."""
    event = sandbox_pb2.SandboxFileEvent(sequence=sequence)
    match found:
        case FilesListed(files):
            event.listed.SetInParent()
            event.listed.files.extend(_seen(path, seen) for path, seen in files)
        case FileChanged(path, seen):
            event.changed.file.CopyFrom(_seen(path, seen))
        case FileRemoved(path):
            event.removed.path = path
        case SandboxGone():
            event.gone.SetInParent()
    return event


def _seen(path: str, seen: Seen) -> sandbox_pb2.SandboxEntry:
    return sandbox_pb2.SandboxEntry(
        path=path,
        name=posixpath.basename(path),
        type=sandbox_pb2.ENTRY_TYPE_FILE,
        size_bytes=min(seen.size_bytes, _INT32),
        modified_at=_time(seen.modified_at),
    )


def stats(found: Stats) -> sandbox_pb2.SandboxStats:
    """What a sandbox uses."""
    now = datetime.now(UTC)
    metrics = found.metrics
    return sandbox_pb2.SandboxStats(
        sandbox_id=found.sandbox.sandbox_id,
        status=_STATUSES[found.sandbox.status],
        cpu_count=metrics.cpu_count,
        cpu_used_percent=metrics.cpu_used_percent,
        memory_used_mib=metrics.memory_used / _MIB,
        memory_total_mib=metrics.memory_total / _MIB,
        disk_used_mib=metrics.disk_used / _MIB,
        disk_total_mib=metrics.disk_total / _MIB,
        uptime_seconds=max(0, int((now - found.sandbox.created_at).total_seconds())),
        seconds_until_expiry=max(0, int((found.sandbox.expires_at - now).total_seconds())),
        file_count=found.file_count,
        file_bytes=min(found.file_bytes, _INT32),
        commands_run=found.commands_run,
    )


def usage(found: Usage) -> sandbox_pb2.SandboxUsage:
    """What a user's sandboxes have used."""
    return sandbox_pb2.SandboxUsage(
        active_sandboxes=found.active,
        max_active_sandboxes=found.max_active,
        paused_sandboxes=found.paused,
        seconds_today=int(found.seconds_today),
        max_seconds_a_day=found.max_seconds_a_day,
        day_resets_at=_time(found.day_resets_at),
        seconds_this_month=int(found.seconds_this_month),
        cost_usd_this_month=found.cost_usd_this_month,
        prices_as_of=found.prices_as_of,
        commands_today=found.commands_today,
    )


def file_entry(found: StoredFile) -> files_pb2.FileEntry:
    """One file of a project."""
    return files_pb2.FileEntry(
        path=found.path,
        size_bytes=found.size_bytes,
        sha256=found.sha256,
        media_type=found.media_type,
        updated_at=_time(found.updated_at),
    )


def archive_unpacked(found: Written) -> sandbox_pb2.UploadArchiveResponse:
    """What an archive brought."""
    return sandbox_pb2.UploadArchiveResponse(
        files=[file_entry(one) for one in found.files],
        size_bytes=min(sum(one.size_bytes for one in found.files), _INT32),
    )


def stored_file(message: files_pb2.FileEntry) -> StoredFile:
    """One file of a project."""
    return StoredFile(
        path=message.path,
        size_bytes=message.size_bytes,
        sha256=message.sha256,
        media_type=message.media_type,
        updated_at=message.updated_at.ToDatetime(UTC),
    )


def write_result(found: Written) -> files_pb2.WriteResult:
    """What a write did."""
    return files_pb2.WriteResult(
        files=[file_entry(one) for one in found.files],
        deleted_paths=found.deleted_paths,
        repeated=found.repeated,
    )


def written(message: files_pb2.WriteResult) -> Written:
    """What a write did."""
    return Written(
        tuple(stored_file(one) for one in message.files),
        tuple(message.deleted_paths),
        message.repeated,
    )


def origin(message: files_pb2.WriteOrigin) -> Origin:
    """Who writes."""
    return Origin(message.generation_id, message.epoch, message.operation_id)


def step(message: files_pb2.FileOperation) -> Message:
    """One message of a write. Raises ``Invalid`` for a path that no file of a project may have."""
    match message.WhichOneof("operation"):
        case "put":
            return Begin(checked_path(message.put.path), _expected(message.put))
        case "delete":
            return Delete(checked_path(message.delete.path), _expected(message.delete))
        case "rename":
            return Rename(
                checked_path(message.rename.from_path, "from_path"),
                checked_path(message.rename.to_path, "to_path"),
                _expected(message.rename),
            )
        case "end":
            return End()
        case _:
            return message.chunk


def change(message: projects_pb2.Change) -> Change:
    """One thing that happened to a project."""
    kind = _CHANGES.get(message.WhichOneof("kind") or "", ChangeKind.OTHER)
    return Change(
        message.sequence,
        message.project_id,
        message.owner_id,
        kind,
        persistent=message.project_updated.persistent_sandbox,
    )


def folder(path: str) -> str:
    """The absolute path of a folder that a caller names, relative to the project's or absolute.

    Raises ``Invalid`` for a path with ``..``, and for a name that is longer than any.
    """
    segments = path.split("/")
    if ".." in segments:
        raise Invalid.field("path", "must not hold '..'")
    if any(len(one.encode()) > MAX_SEGMENT_BYTES for one in segments):
        raise Invalid.field(
            "path", f"must not hold a segment of more than {MAX_SEGMENT_BYTES} bytes"
        )
    return posixpath.normpath(posixpath.join(SITE, path)).replace("//", "/")


def _expected(
    message: files_pb2.FilePut | files_pb2.FileDelete | files_pb2.FileRename,
) -> str | None:
    return message.expected_sha256 if message.HasField("expected_sha256") else None


def _time(moment: datetime) -> Timestamp:
    found = Timestamp()
    found.FromDatetime(moment)
    return found
