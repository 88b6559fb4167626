"""SQL of the ledger: when sandboxes ran. The database's clock is the only one; days and months are those of UTC."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Float, cast, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.sandbox.model import Sandbox, Size
from services.sandbox.tables import intervals

DAY, MONTH = "day", "month"


@dataclass(frozen=True, slots=True)
class Ran:
    """How long sandboxes of one size ran, all together."""

    size: Size
    seconds: float


class LedgerRepository:
    """Intervals, inside one transaction: the one that changes the sandbox's status."""

    def __init__(self, connection: AsyncConnection) -> None:
        """Everything happens in this connection's transaction."""
        self.connection = connection

    async def begin(self, sandbox: Sandbox, size: Size) -> None:
        """A sandbox is being made or woken from now on."""
        statement = insert(intervals).values(
            sandbox_id=sandbox.sandbox_id,
            project_id=sandbox.project_id,
            owner_id=sandbox.owner_id,
            deployment=size.deployment,
            place=size.place,
            cpu_count=size.cpu_count,
            memory_mib=size.memory_mib,
        )
        await self.connection.execute(statement)

    async def end(self, sandbox_ids: Iterable[str]) -> None:
        """Sandboxes do not run any more."""
        statement = (
            update(intervals)
            .where(intervals.c.sandbox_id.in_(list(sandbox_ids)), intervals.c.ended_at.is_(None))
            # A transaction's time is that of its beginning, which may be before that of one it waited for.
            .values(ended_at=func.greatest(func.now(), intervals.c.started_at))
        )
        await self.connection.execute(statement)

    async def seconds(self, owner_id: str, period: str) -> float:
        """Seconds that a user's sandboxes ran in this day or month, those that run included."""
        return sum(ran.seconds for ran in await self.ran(owner_id, period))

    async def ran(self, owner_id: str, period: str) -> list[Ran]:
        """The same by size."""
        sizes = [
            intervals.c.deployment,
            intervals.c.place,
            intervals.c.cpu_count,
            intervals.c.memory_mib,
        ]
        query = (
            select(*sizes, func.sum(_seconds(period)).label("seconds"))
            .where(intervals.c.owner_id == owner_id, _overlaps(period))
            .group_by(*sizes)
        )
        rows = (await self.connection.execute(query)).all()
        return [
            Ran(Size(row.deployment, row.place, row.cpu_count, row.memory_mib), float(row.seconds))
            for row in rows
        ]

    async def now(self) -> datetime:
        """The database's time."""
        found: datetime = (await self.connection.execute(select(func.now()))).scalar_one()
        return found

    async def ends_of(self, period: str) -> datetime:
        """When this day or month ends."""
        # The period is one of our own two words.
        query = select(_begin_of(period) + text(f"interval '1 {period}'"))
        found: datetime = (await self.connection.execute(query)).scalar_one()
        return found

    async def spent_owners(self, seconds: int) -> list[str]:
        """Users whose sandboxes run now, and have run so long today."""
        running = select(intervals.c.owner_id).where(intervals.c.ended_at.is_(None))
        query = (
            select(intervals.c.owner_id)
            .where(intervals.c.owner_id.in_(running), _overlaps(DAY))
            .group_by(intervals.c.owner_id)
            .having(func.sum(_seconds(DAY)) >= seconds)
        )
        return list((await self.connection.execute(query)).scalars().all())

    async def forget_old(self, days: int) -> None:
        """Removes what ended so long ago."""
        old = func.now() - func.make_interval(0, 0, 0, days)
        await self.connection.execute(delete(intervals).where(intervals.c.ended_at < old))


def _begin_of(period: str) -> ColumnElement[Any]:
    return func.date_trunc(period, func.now(), "UTC")


def _end() -> ColumnElement[Any]:
    return func.coalesce(intervals.c.ended_at, func.now())


def _overlaps(period: str) -> ColumnElement[bool]:
    return _end() >= _begin_of(period)


def _seconds(period: str) -> ColumnElement[Any]:
    begin = func.greatest(intervals.c.started_at, _begin_of(period))
    return func.greatest(0.0, cast(func.extract("epoch", _end() - begin), Float))
