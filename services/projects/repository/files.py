"""Which files a project has now, and which a version has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Row,
    Table,
    Text,
    any_,
    delete,
    exists,
    func,
    insert,
    literal,
    literal_column,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from services.projects.model import Content, FileEntry
from services.projects.tables import project_files, version_files


class FilesRepository:
    """SQL of one project's files. The caller has made sure whose the project is."""

    def __init__(self, connection: AsyncConnection, project_id: str) -> None:
        """Works in the connection's transaction."""
        self._connection = connection
        self._project_id = project_id

    async def all(self, paths: Sequence[str] = ()) -> list[FileEntry]:
        """The project's files now, by path; all of them, or those of ``paths``."""
        table, mine = self._source(0)
        statement = select(table).where(*mine).order_by(table.c.path)
        if paths:
            statement = statement.where(table.c.path == any_(literal(list(paths), ARRAY(Text))))
        return [_entry(row) for row in await self._connection.execute(statement)]

    async def page(self, version: int, after: str, size: int) -> list[FileEntry]:
        """Files by path, beginning after a path; of a version, or with 0 as they are now."""
        table, mine = self._source(version)
        statement = (
            select(table).where(*mine, table.c.path > after).order_by(table.c.path).limit(size)
        )
        return [_entry(row) for row in await self._connection.execute(statement)]

    async def find(self, version: int, path: str) -> FileEntry | None:
        """One file; of a version, or with 0 as it is now."""
        table, mine = self._source(version)
        found = await self._connection.execute(select(table).where(*mine, table.c.path == path))
        row = found.one_or_none()
        return _entry(row) if row else None

    async def replace(
        self, owner_id: str, gone: Iterable[str], written: Iterable[FileEntry]
    ) -> None:
        """Takes away the files of some paths and adds others, whose content is stored."""
        entries = list(written)
        _, mine = self._source(0)
        paths = [*gone, *(entry.path for entry in entries)]
        await self._connection.execute(
            delete(project_files).where(
                *mine, project_files.c.path == any_(literal(paths, ARRAY(Text)))
            )
        )
        if entries:
            await self._connection.execute(
                insert(project_files), [self._row(owner_id, entry) for entry in entries]
            )

    async def differs_from(self, version: int) -> bool:
        """Whether the project's files are others than a version's; version 0 has none."""
        now = self._contents(0)
        then = self._contents(version) if version else now.where(literal(value=False))
        either = exists(now.except_(then)) | exists(then.except_(now))
        return bool((await self._connection.execute(select(either))).scalar_one())

    async def keep(self, version: int) -> None:
        """Keeps the project's files as those of a new version."""
        _, mine = self._source(0)
        columns = ["project_id", "path", "owner_id", "sha256", "size_bytes", "updated_at"]
        chosen = [project_files.c[name] for name in columns]
        statement = insert(version_files).from_select(
            ["version", *columns],
            select(literal_column(str(int(version))), *chosen).where(*mine),
        )
        await self._connection.execute(statement)

    async def reset(self, version: int) -> tuple[int, int]:
        """Makes the project's files those of a version (0: none) and answers their number and bytes.

        A file that is the same in both keeps its time.
        """
        _, mine = self._source(0)
        _, theirs = self._source(version)
        now, then = project_files.c, version_files.c
        same = (now.path == then.path) & (now.sha256 == then.sha256) & (then.version == version)
        same &= now.project_id == then.project_id
        await self._connection.execute(
            delete(project_files).where(
                *mine, ~exists().where(same).correlate(project_files).select_from(version_files)
            )
        )
        columns = ["project_id", "path", "owner_id", "sha256", "size_bytes"]
        missing = select(*(then[name] for name in columns), func.now()).where(
            *(theirs if version else [literal(value=False)]),
            ~exists().where(same).correlate(version_files).select_from(project_files),
        )
        await self._connection.execute(
            insert(project_files).from_select([*columns, "updated_at"], missing)
        )
        total = select(func.count(), func.coalesce(func.sum(now.size_bytes), 0)).where(*mine)
        count, size = (await self._connection.execute(total)).one()
        return int(count), int(size)

    def _source(self, version: int) -> tuple[Table, list[ColumnElement[bool]]]:
        """The table that has the files asked for, and what chooses them in it."""
        if not version:
            return project_files, [project_files.c.project_id == self._project_id]
        return version_files, [
            version_files.c.project_id == self._project_id,
            version_files.c.version == version,
        ]

    def _contents(self, version: int) -> Any:
        table, mine = self._source(version)
        return select(table.c.path, table.c.sha256).where(*mine)

    def _row(self, owner_id: str, entry: FileEntry) -> dict[str, object]:
        return {
            "project_id": self._project_id,
            "owner_id": owner_id,
            "path": entry.path,
            "sha256": entry.content.sha256,
            "size_bytes": entry.content.size_bytes,
            "updated_at": entry.updated_at,
        }


def _entry(row: Row[Any]) -> FileEntry:
    return FileEntry(row.path, Content(row.sha256, row.size_bytes), row.updated_at)
