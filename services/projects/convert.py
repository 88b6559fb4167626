"""Between messages of the protos and our own model."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from kit.auth.keys import SigningKey
from kit.paths import checked_path, media_type
from protos.files.v1 import files_pb2
from protos.projects.v1 import accounts_pb2, projects_pb2
from services.projects.model import (
    Change,
    ChangeKind,
    Commit,
    DeleteStep,
    FileEntry,
    Origin,
    Project,
    PutStep,
    RenameStep,
    SandboxStatus,
    SignedIn,
    User,
    Version,
    VersionCause,
    WriteResult,
)
from services.projects.service.upload import End, Step
from services.projects.service.versions import CommitRequest

_STATUS_MESSAGES = {
    SandboxStatus.INACTIVE: projects_pb2.SANDBOX_STATUS_INACTIVE,
    SandboxStatus.ACTIVE: projects_pb2.SANDBOX_STATUS_ACTIVE,
    SandboxStatus.PAUSED: projects_pb2.SANDBOX_STATUS_PAUSED,
}
_STATUSES = {message: status for status, message in _STATUS_MESSAGES.items()}
_CAUSE_MESSAGES = {
    VersionCause.GENERATION: projects_pb2.VERSION_CAUSE_GENERATION,
    VersionCause.EDIT: projects_pb2.VERSION_CAUSE_EDIT,
}
_CAUSES = {message: cause for cause, message in _CAUSE_MESSAGES.items()}


def user(found: User) -> accounts_pb2.User:
    """A user as others see it."""
    return accounts_pb2.User(
        user_id=found.user_id,
        email=found.email,
        display_name=found.display_name,
        created_at=_time(found.created_at),
    )


def session(found: SignedIn) -> accounts_pb2.SessionResponse:
    """A session with its tokens."""
    return accounts_pb2.SessionResponse(
        user=user(found.user),
        access_token=found.access_token,
        access_token_expires_at=_time(found.access_expires_at),
        refresh_token=found.refresh_token,
        refresh_token_expires_at=_time(found.refresh_expires_at),
    )


def key_set(keys: Iterable[SigningKey]) -> accounts_pb2.JsonWebKeySet:
    """The public halves of signing keys."""
    return accounts_pb2.JsonWebKeySet(
        keys=[accounts_pb2.JsonWebKey(**key.public_jwk()) for key in keys]
    )


def project(found: Project) -> projects_pb2.Project:
    """A project as its owner sees it."""
    return projects_pb2.Project(
        project_id=found.project_id,
        name=found.name,
        description=found.description,
        head_version=found.head_version,
        sandbox_id=found.sandbox_id,
        sandbox_status=_STATUS_MESSAGES[found.sandbox_status],
        file_count=found.file_count,
        size_bytes=found.size_bytes,
        created_at=_time(found.created_at),
        updated_at=_time(found.updated_at),
        owner_id=found.owner_id,
        persistent_sandbox=found.persistent_sandbox,
        model=found.model,
    )


def file_entry(found: FileEntry) -> files_pb2.FileEntry:
    """One file."""
    return files_pb2.FileEntry(
        path=found.path,
        size_bytes=found.content.size_bytes,
        sha256=found.content.sha256,
        media_type=media_type(found.path),
        updated_at=_time(found.updated_at),
    )


def version(found: Version) -> projects_pb2.Version:
    """One version."""
    receipt = projects_pb2.Receipt.FromString(found.receipt) if found.receipt else None
    return projects_pb2.Version(
        receipt=receipt,
        number=found.number,
        cause=_CAUSE_MESSAGES[found.cause],
        partial=found.partial,
        title=found.title,
        generation_id=found.generation_id,
        file_count=found.file_count,
        size_bytes=found.size_bytes,
        created_at=_time(found.created_at),
        head=found.head,
    )


def commit(found: Commit) -> projects_pb2.CommitVersionResponse:
    """What a commit came to."""
    return projects_pb2.CommitVersionResponse(
        version=version(found.version) if found.version else None, created=found.created
    )


def write_result(found: WriteResult) -> files_pb2.WriteResult:
    """What a write did."""
    return files_pb2.WriteResult(
        files=[file_entry(entry) for entry in found.files],
        deleted_paths=found.deleted_paths,
        repeated=found.repeated,
    )


def change(found: Change) -> projects_pb2.Change:
    """One entry of the change log."""
    message = projects_pb2.Change(
        sequence=found.sequence,
        project_id=found.project_id,
        owner_id=found.owner_id,
        created_at=_time(found.created_at),
    )
    match found.kind:
        case ChangeKind.PROJECT_DELETED:
            message.project_deleted.SetInParent()
        case ChangeKind.FILES_RESET:
            message.files_reset.version = found.version
            message.files_reset.SetInParent()
        case ChangeKind.PROJECT_UPDATED:
            message.project_updated.persistent_sandbox = found.persistent_sandbox
            message.project_updated.SetInParent()
    return message


def sandbox_status(message: projects_pb2.SandboxStatus.ValueType) -> SandboxStatus:
    """A sandbox's status; the protos' rules leave no other value."""
    return _STATUSES[message]


def origin(message: files_pb2.WriteOrigin) -> Origin:
    """Who writes."""
    return Origin(message.generation_id, message.epoch, message.operation_id)


def commit_request(message: projects_pb2.CommitVersionRequest) -> CommitRequest:
    """How files are to be kept."""
    return CommitRequest(
        cause=_CAUSES[message.cause],
        origin=origin(message.origin),
        title=message.title,
        partial=message.partial,
        keep_head=message.keep_head,
        receipt=message.receipt.SerializeToString(),
    )


def step(message: files_pb2.FileOperation) -> Step:
    """One step of a write. Raises ``Invalid`` for a path that no file of a project may have."""
    match message.WhichOneof("operation"):
        case "put":
            return PutStep(checked_path(message.put.path), _expected(message.put))
        case "delete":
            return DeleteStep(checked_path(message.delete.path), _expected(message.delete))
        case "rename":
            return RenameStep(
                checked_path(message.rename.from_path, "from_path"),
                checked_path(message.rename.to_path, "to_path"),
                _expected(message.rename),
            )
        case "end":
            return End()
        case _:
            return message.chunk


def _expected(
    message: files_pb2.FilePut | files_pb2.FileDelete | files_pb2.FileRename,
) -> str | None:
    return message.expected_sha256 if message.HasField("expected_sha256") else None


def _time(moment: datetime) -> Timestamp:
    found = Timestamp()
    found.FromDatetime(moment)
    return found
