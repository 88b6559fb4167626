"""Claims and leases: who works on which generation. Time is the database's own."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.generation.model import Job, Status
from services.generation.repository.jobs import job_from
from services.generation.tables import generations as table

# Claims follow one another: two at once could both count one running generation and make it three.
_TURN = sa.text("SELECT pg_advisory_xact_lock(hashtext('generation.claim'))")
_CLAIM = sa.text(
    """
    WITH busy AS (
        SELECT owner_id, count(*) AS running FROM generations WHERE status = 'running' GROUP BY owner_id
    ), next AS (
        SELECT g.generation_id FROM generations g LEFT JOIN busy USING (owner_id)
        WHERE (g.status = 'running' AND g.lease_until <= clock_timestamp())
           OR (g.status = 'queued' AND g.not_before <= clock_timestamp()
               AND coalesce(busy.running, 0) < :max_running
               AND NOT EXISTS (
                   SELECT 1 FROM generations o WHERE o.project_id = g.project_id
                   AND (o.status = 'running' OR (o.status = 'queued'
                        AND (o.created_at, o.generation_id) < (g.created_at, g.generation_id)))))
        ORDER BY (g.status = 'running') DESC, coalesce(busy.running, 0), g.created_at, g.generation_id
        LIMIT 1 FOR UPDATE OF g SKIP LOCKED
    )
    UPDATE generations g SET status = 'running', epoch = g.epoch + 1, worker = :worker,
        lease_until = clock_timestamp() + make_interval(secs => :seconds)
    FROM next WHERE g.generation_id = next.generation_id RETURNING g.*
    """
).columns(**{column.name: column.type for column in table.c})


@dataclass(frozen=True, slots=True)
class Orders:
    """What a worker finds in its row when it renews."""

    cancel: bool
    deleted: bool


class Queue:
    """Takes, keeps and gives back generations."""

    def __init__(self, connection: AsyncConnection) -> None:
        """On a connection with a transaction."""
        self._connection = connection

    async def claim(self, worker: str, lease_seconds: float, max_running: int) -> Job | None:
        """The next generation, now owned under a new epoch: one whose lease ran out, or the oldest of who runs fewest.

        One of a project at a time, and ``max_running`` of a user.
        """
        await self._connection.execute(_TURN)
        values = {"worker": worker, "seconds": lease_seconds, "max_running": max_running}
        row = (await self._connection.execute(_CLAIM, values)).mappings().one_or_none()
        return job_from(row) if row else None

    async def renew(self, generation_id: str, epoch: int, lease_seconds: float) -> Orders | None:
        """Keeps a generation for so much longer; ``None`` where it is somebody else's or has ended."""
        until = sa.func.clock_timestamp() + sa.func.make_interval(0, 0, 0, 0, 0, 0, lease_seconds)
        found = await self._connection.execute(
            sa.update(table)
            .where(owned(generation_id, epoch))
            .values(lease_until=until)
            .returning(table.c.cancel_requested_at, table.c.deleted_at)
        )
        row = found.one_or_none()
        return Orders(row[0] is not None, row[1] is not None) if row else None

    async def give_back(self, generation_id: str, epoch: int) -> None:
        """Lets any worker go on at once."""
        await self._connection.execute(
            sa.update(table)
            .where(owned(generation_id, epoch))
            .values(lease_until=sa.func.clock_timestamp())
        )


def owned(generation_id: str, epoch: int) -> sa.ColumnElement[bool]:
    """The condition of every write of a worker's: the generation runs, and under its epoch."""
    return (
        (table.c.generation_id == generation_id)
        & (table.c.epoch == epoch)
        & (table.c.status == Status.RUNNING)
    )
