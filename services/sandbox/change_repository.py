"""SQL of following: how far the change log was read, and what was left for later."""

from __future__ import annotations

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.sandbox.model import Change, ChangeKind
from services.sandbox.repository import in_seconds
from services.sandbox.tables import cursors, left_changes

_CURSOR = "projects"
_LONGEST_SECONDS = 60.0
_MOST_DOUBLINGS = 10


class ChangeRepository:
    """Inside one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        """Everything happens in this connection's transaction."""
        self._connection = connection

    async def cursor(self) -> int:
        """The sequence number of the last change that was applied or left for later; 0 at first."""
        query = select(cursors.c.sequence).where(cursors.c.name == _CURSOR)
        return int((await self._connection.execute(query)).scalar_one_or_none() or 0)

    async def waits(self, project_id: str) -> bool:
        """Whether a change of this project was left and has still to be applied."""
        query = select(left_changes.c.sequence).where(left_changes.c.project_id == project_id)
        return (await self._connection.execute(query.limit(1))).first() is not None

    async def done(self, change: Change) -> None:
        """The change is applied; older ones of its kind that were left have nothing more to say."""
        await self._connection.execute(
            delete(left_changes).where(
                left_changes.c.project_id == change.project_id,
                left_changes.c.kind == change.kind,
                left_changes.c.sequence <= change.sequence,
            )
        )
        await self._advance(change.sequence)

    async def leave(self, change: Change, seconds: float) -> None:
        """The change is to be tried again after so long; after twice as long each time that it was left before."""
        doubled = func.power(2, func.least(left_changes.c.attempts, _MOST_DOUBLINGS))
        statement = insert(left_changes).values(
            sequence=change.sequence,
            project_id=change.project_id,
            owner_id=change.owner_id,
            kind=change.kind,
            persistent=change.persistent,
            due_at=in_seconds(seconds),
        )
        statement = statement.on_conflict_do_update(
            index_elements=[left_changes.c.sequence],
            set_={
                "attempts": left_changes.c.attempts + 1,
                "due_at": func.now()
                + func.make_interval(
                    0, 0, 0, 0, 0, 0, func.least(doubled * seconds, _LONGEST_SECONDS)
                ),
            },
        )
        await self._connection.execute(statement)
        await self._advance(change.sequence)

    async def still_left(self, change: Change) -> bool:
        """Whether a change that was left has still to be applied."""
        query = select(left_changes.c.sequence).where(left_changes.c.sequence == change.sequence)
        return (await self._connection.execute(query)).first() is not None

    async def due(self, limit: int) -> list[Change]:
        """Changes that were left and whose time has come, the oldest first."""
        query = (
            select(left_changes)
            .where(left_changes.c.due_at <= func.now())
            .order_by(left_changes.c.sequence)
            .limit(limit)
        )
        return [
            Change(row.sequence, row.project_id, row.owner_id, ChangeKind(row.kind), row.persistent)
            for row in await self._connection.execute(query)
        ]

    async def _advance(self, sequence: int) -> None:
        statement = insert(cursors).values(name=_CURSOR, sequence=sequence)
        statement = statement.on_conflict_do_update(
            index_elements=[cursors.c.name],
            set_={"sequence": func.greatest(cursors.c.sequence, statement.excluded.sequence)},
        )
        await self._connection.execute(statement)
