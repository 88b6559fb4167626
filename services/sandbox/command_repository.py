"""The SQL of commands."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, delete, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.sandbox.model import Status
from services.sandbox.tables import commands, sandboxes

MINUTE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Forsaken:
    """A command whose service has died."""

    command_id: str
    sandbox_id: str
    pid: int


class CommandRepository:
    """The commands of all replicas, inside one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        """Everything happens in this connection's transaction."""
        self._connection = connection

    async def lock_owner(self, owner_id: str) -> None:
        """Until the transaction ends nobody else begins a command for this user."""
        key = func.hashtextextended(f"commands of {owner_id}", 0)
        await self._connection.execute(select(func.pg_advisory_xact_lock(key)))

    async def count_running(self, sandbox_id: str) -> int:
        """Commands that run in a sandbox now."""
        return await self._count(
            commands.c.sandbox_id == sandbox_id,
            commands.c.ended_at.is_(None),
            commands.c.alive_until > func.now(),
        )

    async def count_run(self, sandbox_id: str) -> int:
        """Commands that were begun in a sandbox."""
        return await self._count(commands.c.sandbox_id == sandbox_id)

    async def count_in_last_minute(self, owner_id: str) -> int:
        """Commands that a user has begun in the last 60 seconds."""
        return await self._count(commands.c.owner_id == owner_id, _IN_LAST_MINUTE)

    async def commands_today(self, owner_id: str) -> int:
        """Commands that a user has begun since midnight UTC."""
        midnight = func.date_trunc("day", func.now(), "UTC")
        return await self._count(commands.c.owner_id == owner_id, commands.c.begun_at >= midnight)

    async def seconds_until_another(self, owner_id: str, most: int) -> float:
        """How long until fewer than ``most`` have begun in the last minute, where as many have."""
        query = (
            select(
                MINUTE_SECONDS - func.extract("epoch", func.clock_timestamp() - commands.c.begun_at)
            )
            .where(commands.c.owner_id == owner_id)
            .order_by(commands.c.begun_at.desc())
            .offset(most - 1)
            .limit(1)
        )
        return float((await self._connection.execute(query)).scalar_one_or_none() or 0.0)

    async def insert(
        self, command_id: str, sandbox_id: str, owner_id: str, alive_seconds: float
    ) -> None:
        """A command that is being begun by who calls, for whom ``alive_seconds`` are kept."""
        await self._commit_lightly()
        statement = insert(commands).values(
            command_id=command_id,
            sandbox_id=sandbox_id,
            owner_id=owner_id,
            alive_until=_in(alive_seconds),
        )
        await self._connection.execute(statement)

    async def renew(self, command_id: str, pid: int, alive_seconds: float) -> None:
        """Tells that who runs it lives, and its process."""
        await self._commit_lightly()
        statement = (
            update(commands)
            .where(commands.c.command_id == command_id, commands.c.ended_at.is_(None))
            .values(alive_until=_in(alive_seconds), pid=pid)
        )
        await self._connection.execute(statement)

    async def end(self, command_id: str) -> None:
        """It has ended."""
        await self._commit_lightly()
        statement = update(commands).where(commands.c.command_id == command_id)
        await self._connection.execute(statement.values(ended_at=func.now()))

    async def end_forsaken(self) -> list[Forsaken]:
        """Ends the rows of commands whose service has not been heard of; each is answered to one replica alone."""
        found = (
            select(commands.c.command_id)
            .where(commands.c.ended_at.is_(None), commands.c.alive_until < func.now())
            .with_for_update(skip_locked=True)
        )
        statement = (
            update(commands)
            .where(commands.c.command_id.in_(found))
            .values(ended_at=func.now())
            .returning(commands.c.command_id, commands.c.sandbox_id, commands.c.pid)
        )
        return [Forsaken(*row) for row in (await self._connection.execute(statement)).all()]

    async def forget_old(self, days: int) -> None:
        """Removes commands from before so long, but for those of open sandboxes, which tell how many they have run."""
        open_one = (
            select(sandboxes.c.sandbox_id)
            .where(
                sandboxes.c.sandbox_id == commands.c.sandbox_id,
                sandboxes.c.status != Status.CLOSED,
            )
            .exists()
        )
        old = func.now() - func.make_interval(0, 0, 0, days)
        await self._connection.execute(delete(commands).where(commands.c.begun_at < old, ~open_one))

    async def _count(self, *which: ColumnElement[bool]) -> int:
        query = select(func.count()).select_from(commands).where(*which)
        return int((await self._connection.execute(query)).scalar_one())

    async def _commit_lightly(self) -> None:
        # Two waits for the disk would be most of what a short command takes; what is lost with Postgres' machine is
        # a count.
        await self._connection.execute(text("SET LOCAL synchronous_commit = off"))


def _in(seconds: float) -> ColumnElement[datetime]:
    return func.now() + func.make_interval(0, 0, 0, 0, 0, 0, seconds)


_IN_LAST_MINUTE = commands.c.begun_at > func.now() - func.make_interval(
    0, 0, 0, 0, 0, 0, MINUTE_SECONDS
)
