"""The change log: what other services must follow, in the order of commits."""

from __future__ import annotations

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.projects.model import Change, ChangeKind, Project
from services.projects.tables import change_counter, changes

CHANNEL = "projects_changes"
"""Postgres channel that is notified of each change."""


class ChangesRepository:
    """SQL of the change log."""

    def __init__(self, connection: AsyncConnection) -> None:
        """Works in the connection's transaction."""
        self._connection = connection

    async def add(self, project: Project, kind: ChangeKind, version: int = 0) -> None:
        """Appends a change. Call it last: everybody else who appends waits until this transaction ends."""
        raised = (
            update(change_counter)
            .values(last=change_counter.c.last + 1)
            .returning(change_counter.c.last)
        )
        sequence = (await self._connection.execute(raised)).scalar_one()
        await self._connection.execute(
            insert(changes).values(
                sequence=sequence,
                project_id=project.project_id,
                owner_id=project.owner_id,
                kind=kind.value,
                version=version,
                persistent_sandbox=project.persistent_sandbox,
            )
        )
        await self._connection.execute(select(func.pg_notify(CHANNEL, "")))

    async def last_reset(self, project_id: str) -> int:
        """The sequence number with which the project's files last went back to a version; 0 where they never did."""
        statement = select(func.max(changes.c.sequence)).where(
            changes.c.project_id == project_id, changes.c.kind == ChangeKind.FILES_RESET.value
        )
        return int((await self._connection.execute(statement)).scalar_one() or 0)

    async def after(self, sequence: int, owner_id: str, size: int) -> list[Change]:
        """The next changes after a sequence number: of one owner's projects, or with ``""`` of all."""
        statement = (
            select(changes)
            .where(changes.c.sequence > sequence)
            .order_by(changes.c.sequence)
            .limit(size)
        )
        if owner_id:
            statement = statement.where(changes.c.owner_id == owner_id)
        return [
            Change(
                sequence=row.sequence,
                project_id=row.project_id,
                owner_id=row.owner_id,
                created_at=row.created_at,
                kind=ChangeKind(row.kind),
                version=row.version,
                persistent_sandbox=row.persistent_sandbox,
            )
            for row in await self._connection.execute(statement)
        ]
