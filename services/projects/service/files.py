"""Reading files. No transaction stays open while a reader takes its time: each piece is a short query of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from kit.db import Database
from kit.errors import Internal, NotFound
from services.projects.model import Content, FileEntry, Project, Version
from services.projects.repository.content import CHUNK_BYTES, ContentRepository
from services.projects.repository.files import FilesRepository
from services.projects.repository.versions import VersionsRepository
from services.projects.service.projects import owned

_log = structlog.get_logger(__name__)
_BATCH_BYTES = 4 * CHUNK_BYTES
_BATCH_FILES = 200


@dataclass(frozen=True, slots=True)
class FilesPage:
    """Some of a project's or a version's files, by path."""

    files: list[FileEntry]
    total_files: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Files:
    """What readers of files ask for."""

    database: Database

    async def page(
        self, owner_id: str, project_id: str, version: int, after: str, size: int
    ) -> FilesPage:
        """Files of a version, or with 0 as they are now. Raises ``NotFound``."""
        async with self.database.begin() as connection:
            counted = await _counted(connection, owner_id, project_id, version)
            files = await FilesRepository(connection, project_id).page(version, after, size)
            return FilesPage(files, counted.file_count, counted.size_bytes)

    async def find(self, owner_id: str, project_id: str, version: int, path: str) -> FileEntry:
        """One file. Raises ``NotFound`` (PROJECT_NOT_FOUND, VERSION_NOT_FOUND, FILE_NOT_FOUND)."""
        async with self.database.begin() as connection:
            await _counted(connection, owner_id, project_id, version)
            entry = await FilesRepository(connection, project_id).find(version, path)
        if entry is None:
            raise NotFound(f"there is no file '{path}'", reason="FILE_NOT_FOUND")
        return entry

    async def all(self, owner_id: str, project_id: str, paths: Sequence[str]) -> list[FileEntry]:
        """A project's files now, by path: all, or those of ``paths`` that are there. Raises ``NotFound``."""
        async with self.database.begin() as connection:
            await owned(connection, owner_id, project_id)
            return await FilesRepository(connection, project_id).all(paths)

    async def chunks(self, owner_id: str, content: Content) -> AsyncIterator[bytes]:
        """The bytes of a content in chunks of 1 MiB, the last one shorter; none where it is empty."""
        for position in range(_chunk_count(content)):
            async with self.database.begin() as connection:
                data = await ContentRepository(connection, owner_id).chunk(content.sha256, position)
            yield _there(data, content)

    async def contents(
        self, owner_id: str, entries: Sequence[FileEntry]
    ) -> AsyncIterator[tuple[FileEntry, AsyncIterator[bytes]]]:
        """Files with their bytes, in order. Small ones are read many at a time."""
        for batch in _batches(entries):
            small = [entry.content for entry in batch if _chunk_count(entry.content) == 1]
            async with self.database.begin() as connection:
                first = await ContentRepository(connection, owner_id).first_chunks(
                    {content.sha256 for content in small}
                )
            for entry in batch:
                if _chunk_count(entry.content) == 1:
                    yield entry, _once(_there(first.get(entry.content.sha256), entry.content))
                else:
                    yield entry, self.chunks(owner_id, entry.content)


async def _counted(
    connection: AsyncConnection, owner_id: str, project_id: str, version: int
) -> Project | Version:
    """Whatever knows how many files there are: the project for version 0, else the version. Raises ``NotFound``."""
    project = await owned(connection, owner_id, project_id)
    if not version:
        return project
    found = await VersionsRepository(connection, project).find(version)
    if found is None:
        raise NotFound(f"there is no version {version}", reason="VERSION_NOT_FOUND")
    return found


def _batches(entries: Sequence[FileEntry]) -> Iterator[list[FileEntry]]:
    """Neighbours whose first chunks together are a few MiB at most."""
    batch: list[FileEntry] = []
    size = 0
    for entry in entries:
        batch.append(entry)
        size += entry.content.size_bytes if _chunk_count(entry.content) == 1 else 0
        if size >= _BATCH_BYTES or len(batch) == _BATCH_FILES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _chunk_count(content: Content) -> int:
    return -(-content.size_bytes // CHUNK_BYTES)


def _there(data: bytes | None, content: Content) -> bytes:
    if data is None:
        _log.error("content is missing in the store", sha256=content.sha256)
        raise Internal("the content of a file is missing in the store")
    return data


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
