"""Versions: what was kept, when and why."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.projects.model import Project, Version, VersionCause
from services.projects.tables import versions


class VersionsRepository:
    """SQL of one project's versions. The caller has made sure whose the project is."""

    def __init__(self, connection: AsyncConnection, project: Project) -> None:
        """Works in the connection's transaction; the project says which version is the head."""
        self._connection = connection
        self._project = project

    async def add(
        self,
        number: int,
        cause: VersionCause,
        *,
        partial: bool,
        title: str,
        generation_id: str,
        head: bool,
        receipt: bytes,
    ) -> Version:
        """A new version of the project's files as they are counted now."""
        statement = (
            insert(versions)
            .values(
                project_id=self._project.project_id,
                number=number,
                cause=cause.value,
                partial=partial,
                title=title,
                generation_id=generation_id,
                file_count=self._project.file_count,
                size_bytes=self._project.size_bytes,
                receipt=receipt,
            )
            .returning(versions)
        )
        return _version((await self._connection.execute(statement)).one(), head=head)

    async def find(self, number: int) -> Version | None:
        """The version of a number."""
        statement = select(versions).where(
            versions.c.project_id == self._project.project_id, versions.c.number == number
        )
        row = (await self._connection.execute(statement)).one_or_none()
        return self._marked(row) if row else None

    async def page(self, before: int | None, size: int) -> list[Version]:
        """The versions, newest first, beginning after the number ``before``."""
        statement = (
            select(versions)
            .where(versions.c.project_id == self._project.project_id)
            .order_by(versions.c.number.desc())
            .limit(size)
        )
        if before is not None:
            statement = statement.where(versions.c.number < before)
        return [self._marked(row) for row in await self._connection.execute(statement)]

    def _marked(self, row: Row[Any]) -> Version:
        return _version(row, head=row.number == self._project.head_version)


def _version(row: Row[Any], *, head: bool) -> Version:
    return Version(
        number=row.number,
        cause=VersionCause(row.cause),
        partial=row.partial,
        title=row.title,
        generation_id=row.generation_id,
        file_count=row.file_count,
        size_bytes=row.size_bytes,
        created_at=row.created_at,
        head=head,
        receipt=row.receipt,
    )
