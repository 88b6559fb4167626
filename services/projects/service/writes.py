"""Writes into a project: all steps of one write take effect together, or none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from kit.db import Database
from kit.errors import Conflict, FailedPrecondition, QuotaExceeded
from services.projects.model import Content, FileEntry, Origin, Project, Put, WriteResult
from services.projects.repository.changes import ChangesRepository
from services.projects.repository.content import CHUNK_BYTES, ContentRepository
from services.projects.repository.files import FilesRepository
from services.projects.repository.projects import ProjectsRepository
from services.projects.repository.writes import WritesRepository
from services.projects.service import fencing
from services.projects.service.projects import owned
from services.projects.service.tree import Tree
from services.projects.service.upload import Limits, Upload

_BATCH_BYTES = 4 * CHUNK_BYTES


@dataclass(frozen=True, slots=True)
class Writes:
    """What PutFiles does once everything has arrived."""

    database: Database
    limits: Limits

    async def put(
        self,
        owner_id: str,
        project_id: str,
        origin: Origin,
        upload: Upload,
        *,
        seen_change: int | None = None,
    ) -> WriteResult:
        """Applies a write that has arrived completely. What is answered is durable.

        ``seen_change``: the last change that the writer knows of, where it matters to it. Raises ``NotFound``,
        ``Invalid``, ``Conflict`` (STALE_EPOCH, IDEMPOTENCY_CONFLICT), ``FailedPrecondition`` (FILE_CHANGED,
        FILES_RESET), ``QuotaExceeded`` (PROJECT_FILES, PROJECT_BYTES).
        """
        upload.finish()
        async with self.database.begin() as connection:
            # Writes of one project go one after another.
            project = await owned(connection, owner_id, project_id, lock=True)
            await _check_seen(connection, project_id, seen_change)
            writes = WritesRepository(connection, project_id)
            fence = await fencing.passed(writes, origin)
            if origin.operation_id:
                known = await writes.answered(origin.operation_id)
                if known:
                    return _repeated(known, upload)
            fencing.check_open(fence, origin)
            result = await self._apply(connection, project, upload)
            if origin.operation_id:
                await writes.remember(origin.operation_id, upload.sha256(), _stored(result))
        return result

    async def _apply(
        self, connection: AsyncConnection, project: Project, upload: Upload
    ) -> WriteResult:
        files = FilesRepository(connection, project.project_id)
        tree = Tree(await files.all())
        now = (await connection.execute(select(func.now()))).scalar_one()
        for operation in upload.operations:
            tree.apply(operation, now)
        self._check_limits(project, tree)
        gone, written = tree.gone(), tree.written()
        if gone or written:
            await self._store(connection, project.owner_id, upload, written)
            await files.replace(project.owner_id, gone, written)
            await ProjectsRepository(connection).set_files(
                project.project_id, tree.file_count, tree.size_bytes
            )
        return tree.result()

    def _check_limits(self, project: Project, tree: Tree) -> None:
        # What is above a limit that was lowered may still shrink.
        if tree.file_count > max(self.limits.project_files, project.file_count):
            raise _over("PROJECT_FILES", "files", self.limits.project_files, tree.file_count)
        if tree.size_bytes > max(self.limits.project_bytes, project.size_bytes):
            raise _over("PROJECT_BYTES", "bytes", self.limits.project_bytes, tree.size_bytes)

    async def _store(
        self,
        connection: AsyncConnection,
        owner_id: str,
        upload: Upload,
        written: list[FileEntry],
    ) -> None:
        """Puts the content of written files into the store where it is not there yet."""
        arrived = {op.content.sha256 for op in upload.operations if isinstance(op, Put)}
        contents = {
            entry.content.sha256: entry.content
            for entry in written
            if entry.content.sha256 in arrived
        }
        store = ContentRepository(connection, owner_id)
        new = await store.claim(contents.values())
        for batch in _batches(upload, [contents[sha256] for sha256 in sorted(new)]):
            await store.add_chunks(batch)


async def _check_seen(
    connection: AsyncConnection, project_id: str, seen_change: int | None
) -> None:
    if seen_change is None:
        return
    reset = await ChangesRepository(connection).last_reset(project_id)
    if reset > seen_change:
        raise FailedPrecondition(
            "the project's files went back to a version meanwhile",
            reason="FILES_RESET",
            metadata={"change": str(reset)},
        )


def _batches(upload: Upload, contents: list[Content]) -> Iterator[list[tuple[str, int, bytes]]]:
    """The chunks of contents, a few MiB at a time."""
    batch: list[tuple[str, int, bytes]] = []
    size = 0
    for content in contents:
        for position, begin in enumerate(range(0, content.size_bytes, CHUNK_BYTES)):
            data = upload.read(content, begin, CHUNK_BYTES)
            batch.append((content.sha256, position, data))
            size += len(data)
            if size >= _BATCH_BYTES:
                yield batch
                batch, size = [], 0
    if batch:
        yield batch


def _over(reason: str, what: str, limit: int, used: int) -> QuotaExceeded:
    return QuotaExceeded(
        f"a project has at most {limit} {what}; this write would make it {used}",
        reason=reason,
        metadata={"limit": str(limit), "used": str(used)},
    )


def _repeated(known: tuple[str, dict[str, Any]], upload: Upload) -> WriteResult:
    request, answer = known
    if request != upload.sha256():
        raise Conflict("operation_id: was used for another write", reason="IDEMPOTENCY_CONFLICT")
    return WriteResult(
        files=tuple(
            FileEntry(path, Content(sha256, size), datetime.fromisoformat(at))
            for path, sha256, size, at in answer["files"]
        ),
        deleted_paths=tuple(answer["deleted_paths"]),
        repeated=True,
    )


def _stored(result: WriteResult) -> dict[str, Any]:
    return {
        "files": [
            [e.path, e.content.sha256, e.content.size_bytes, e.updated_at.isoformat()]
            for e in result.files
        ],
        "deleted_paths": list(result.deleted_paths),
    }
