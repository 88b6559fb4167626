"""Versions: a project's files kept as they are at one moment."""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from kit.db import Database
from kit.errors import Invalid
from services.projects.model import (
    ChangeKind,
    Commit,
    Origin,
    Project,
    Version,
    VersionCause,
)
from services.projects.repository.changes import ChangesRepository
from services.projects.repository.files import FilesRepository
from services.projects.repository.projects import ProjectsRepository
from services.projects.repository.versions import VersionsRepository
from services.projects.repository.writes import Fence, WritesRepository
from services.projects.service import fencing
from services.projects.service.projects import owned

_log = structlog.get_logger(__name__)
_TITLES = {VersionCause.GENERATION: "Generation", VersionCause.EDIT: "Edit"}


@dataclass(frozen=True, slots=True)
class CommitRequest:
    """How the project's files are to be kept."""

    cause: VersionCause
    origin: Origin
    title: str
    """A line about it; empty for one of ours."""
    partial: bool
    keep_head: bool
    """The head stays, and the project's files go back to it once they are kept."""
    receipt: bytes = b""
    """What a model's work amounted to, serialized; empty for none."""


@dataclass(frozen=True, slots=True)
class Versions:
    """What is done with versions."""

    database: Database
    operation_memory_seconds: int

    async def page(
        self, owner_id: str, project_id: str, before: int | None, size: int
    ) -> list[Version]:
        """A project's versions, newest first. Raises ``NotFound``."""
        async with self.database.begin() as connection:
            project = await owned(connection, owner_id, project_id)
            return await VersionsRepository(connection, project).page(before, size)

    async def commit(self, owner_id: str, project_id: str, request: CommitRequest) -> Commit:
        """Keeps the project's files as a version where they differ from the head.

        A generation commits once: again it is answered what it was answered. Raises ``NotFound``, ``Invalid``,
        ``Conflict`` (STALE_EPOCH).
        """
        if request.cause is VersionCause.GENERATION and not request.origin.generation_id:
            raise Invalid.field("origin.generation_id", "must name the generation that ended")
        async with self.database.begin() as connection:
            project = await owned(connection, owner_id, project_id, lock=True)
            writes = WritesRepository(connection, project_id)
            fence = await fencing.passed(writes, request.origin)
            # Edits that a generation finds when it begins are kept in its name, but are not its own commit.
            own = request.cause is VersionCause.GENERATION
            if own and fence and fence.committed_epoch is not None:
                return await _committed(connection, project, fence)
            commit = await _kept(connection, project, request)
            if own:
                await writes.committed(
                    request.origin.generation_id,
                    request.origin.epoch,
                    commit.version.number if commit.version else 0,
                    created=commit.created,
                )
            await writes.forget(self.operation_memory_seconds)
        _log.info(
            "version committed",
            project_id=project_id,
            version=commit.version.number if commit.version else 0,
            created=commit.created,
        )
        return commit


async def _committed(connection: AsyncConnection, project: Project, fence: Fence) -> Commit:
    """What a generation's commit was answered."""
    versions = VersionsRepository(connection, project)
    return Commit(await versions.find(fence.committed_version), fence.committed_created)


async def _kept(connection: AsyncConnection, project: Project, request: CommitRequest) -> Commit:
    files = FilesRepository(connection, project.project_id)
    versions = VersionsRepository(connection, project)
    if not await files.differs_from(project.head_version):
        return Commit(await versions.find(project.head_version), created=False)
    number = project.last_version + 1
    own = request.cause is VersionCause.GENERATION
    version = await versions.add(
        number,
        request.cause,
        partial=request.partial,
        title=_line(request.title) or _TITLES[request.cause],
        generation_id=request.origin.generation_id if own else "",
        head=not request.keep_head,
        receipt=request.receipt if own else b"",
    )
    await files.keep(number)
    head = project.head_version if request.keep_head else number
    await ProjectsRepository(connection).set_versions(project.project_id, head, number)
    if request.keep_head:
        await _reset(connection, project)
    return Commit(version, created=True)


async def _reset(connection: AsyncConnection, project: Project) -> None:
    """The project's files go back to the head's; who holds others is told."""
    files = FilesRepository(connection, project.project_id)
    count, size = await files.reset(project.head_version)
    await ProjectsRepository(connection).set_files(project.project_id, count, size)
    await ChangesRepository(connection).add(project, ChangeKind.FILES_RESET, project.head_version)


def _line(title: str) -> str:
    """A title on one line, whatever breaks it brought."""
    return " ".join(title.split())
