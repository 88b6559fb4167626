"""Rows of generations, as their owner sees and asks for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.generation.model import Failure, Job, Mode, Sandbox, Status, Usage
from services.generation.tables import generations as table

_USAGE = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cost_usd",
    "estimated",
    "turns",
)
_ALIVE = table.c.deleted_at.is_(None)


@dataclass(frozen=True, slots=True)
class NewJob:
    """What is known of a generation before it has a row."""

    generation_id: str
    owner_id: str
    project_id: str
    prompt: str
    model: str
    body_hash: str
    idempotency_key: str
    """Empty for none."""
    max_cost_usd: Decimal = Decimal(0)
    reserved_usd: Decimal = Decimal(0)
    """What of its owner's budgets is set aside for it, in US dollars."""
    queue_position: int = 0
    """How many of its owner's come before it."""
    mode: Mode = Mode.SINGLE


class Jobs:
    """Every query of a user's has the owner in it."""

    def __init__(self, connection: AsyncConnection) -> None:
        """On a connection with a transaction."""
        self._connection = connection

    async def lock_owner(self, owner_id: str) -> None:
        """One StartGeneration of a user at a time, until the transaction ends."""
        key = sa.func.hashtextextended(f"generation.start:{owner_id}", 0)
        await self._connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))

    async def by_key(self, owner_id: str, key: str) -> Job | None:
        """The generation that was started with this idempotency key."""
        where = (table.c.owner_id == owner_id) & (table.c.idempotency_key == key)
        return await self._one(sa.select(table).where(where))

    async def get(self, owner_id: str, generation_id: str, *, lock: bool = False) -> Job | None:
        """The owner's generation; with ``lock`` nobody changes it until the transaction ends."""
        where = (table.c.generation_id == generation_id) & (table.c.owner_id == owner_id) & _ALIVE
        query = sa.select(table).where(where)
        return await self._one(query.with_for_update() if lock else query)

    async def page(
        self, owner_id: str, project_id: str, before: tuple[datetime, str] | None, limit: int
    ) -> Sequence[Job]:
        """A project's generations, newest first, from behind a position on."""
        place = sa.tuple_(table.c.created_at, table.c.generation_id)
        query = sa.select(table).where(
            (table.c.project_id == project_id) & (table.c.owner_id == owner_id) & _ALIVE
        )
        if before is not None:
            query = query.where(place < sa.tuple_(*map(sa.literal, before)))
        newest = (table.c.created_at.desc(), table.c.generation_id.desc())
        rows = await self._connection.execute(query.order_by(*newest).limit(limit))
        return [job_from(row) for row in rows.mappings()]

    async def earlier_prompts(self, job: Job, limit: int) -> list[str]:
        """What was asked for of the project before and became of it what it is, oldest first."""
        query = (
            sa.select(table.c.prompt)
            .where(
                (table.c.project_id == job.project_id)
                & (table.c.owner_id == job.owner_id)
                & (table.c.created_at < job.created_at)
                & (table.c.version > 0)
                & table.c.status.in_((Status.SUCCEEDED, Status.CANCELLED))
                & _ALIVE
            )
            .order_by(table.c.created_at.desc())
            .limit(limit)
        )
        return list((await self._connection.execute(query)).scalars())[::-1]

    async def check_result(self, generation_id: str) -> bytes:
        """The last check as it is kept; empty where there was none."""
        query = sa.select(table.c.check_result).where(table.c.generation_id == generation_id)
        return bytes((await self._connection.execute(query)).scalar_one_or_none() or b"")

    async def queued(self, owner_id: str) -> int:
        """How many generations of a user wait."""
        return await self._count((table.c.owner_id == owner_id) & (table.c.status == Status.QUEUED))

    async def running(self, owner_id: str) -> int:
        """How many generations of a user run."""
        return await self._count(
            (table.c.owner_id == owner_id) & (table.c.status == Status.RUNNING)
        )

    async def add(self, new: NewJob, hold_seconds: float) -> Job:
        """A queued generation that no worker takes before the hold is over or lifted."""
        held = sa.func.clock_timestamp() + sa.func.make_interval(0, 0, 0, 0, 0, 0, hold_seconds)
        values = {**asdict(new), "idempotency_key": new.idempotency_key or None}
        added = await self._connection.execute(
            sa.insert(table)
            .values(**values, status=Status.QUEUED, not_before=held, readying=1)
            .returning(table)
        )
        return job_from(added.mappings().one())

    async def join(self, generation_id: str) -> None:
        """One more call readies its sandbox, where it waits for one."""
        await self._ready(generation_id, 1)

    async def leave(self, generation_id: str) -> bool:
        """One call less. Whether it waits for its sandbox still, nobody readies it, and no worker may: it is over."""
        left = await self._ready(generation_id, -1)
        return left is not None and left <= 0

    async def _ready(self, generation_id: str, by: int) -> int | None:
        changed = await self._connection.execute(
            sa.update(table)
            .where(
                (table.c.generation_id == generation_id)
                & (table.c.status == Status.QUEUED)
                & (table.c.sandbox_id == "")
                & (table.c.not_before > sa.func.clock_timestamp())
            )
            .values(readying=table.c.readying + by)
            .returning(table.c.readying)
        )
        left: int | None = changed.scalar_one_or_none()
        return left

    async def release(self, generation_id: str, sandbox: Sandbox) -> None:
        """Lifts the hold: the sandbox is there, a worker may take the generation."""
        await self._connection.execute(
            sa.update(table)
            .where((table.c.generation_id == generation_id) & (table.c.status == Status.QUEUED))
            .values(
                not_before=sa.func.clock_timestamp(),
                sandbox_id=sandbox.sandbox_id,
                sandbox_url=sandbox.sandbox_url,
                preview_url=sandbox.preview_url,
            )
        )

    async def free_key(self, generation_id: str) -> None:
        """The idempotency key may be used again."""
        await self._connection.execute(
            sa.update(table)
            .where(table.c.generation_id == generation_id)
            .values(idempotency_key=None)
        )

    async def request_cancel(self, generation_id: str) -> None:
        """Asks the worker to stop."""
        asked = sa.func.coalesce(table.c.cancel_requested_at, sa.func.clock_timestamp())
        await self._connection.execute(
            sa.update(table)
            .where((table.c.generation_id == generation_id) & (table.c.status == Status.RUNNING))
            .values(cancel_requested_at=asked)
        )

    async def of_project(self, project_id: str) -> Sequence[Job]:
        """All generations of a project that are under way, locked."""
        active = table.c.status.in_((Status.QUEUED, Status.RUNNING))
        rows = await self._connection.execute(
            sa.select(table)
            .where((table.c.project_id == project_id) & active)
            .order_by(table.c.generation_id)
            .with_for_update()
        )
        return [job_from(row) for row in rows.mappings()]

    async def mark_deleted(self, project_id: str) -> None:
        """Hides a project's generations."""
        await self._connection.execute(
            sa.update(table)
            .where((table.c.project_id == project_id) & _ALIVE)
            .values(deleted_at=sa.func.clock_timestamp())
        )

    async def purge(self) -> int:
        """Removes what is hidden and has ended; says how many."""
        over = table.c.deleted_at.is_not(None) & (
            table.c.status.not_in((Status.QUEUED, Status.RUNNING))
        )
        removed = await self._connection.execute(sa.delete(table).where(over))
        return removed.rowcount

    async def _one(self, query: sa.Select[Any]) -> Job | None:
        row = (await self._connection.execute(query)).mappings().one_or_none()
        return job_from(row) if row else None

    async def _count(self, where: sa.ColumnElement[bool]) -> int:
        query = sa.select(sa.func.count()).select_from(table).where(where)
        return int((await self._connection.execute(query)).scalar_one())


def job_from(row: sa.RowMapping) -> Job:
    """The domain's job from its row."""
    failure = None
    if row["failure_reason"]:
        failure = Failure(row["failure_reason"], row["failure_message"], row["failure_keeps_work"])
    plain = (
        "generation_id",
        "owner_id",
        "project_id",
        "prompt",
        "model",
        "created_at",
        "epoch",
        "body_hash",
        "max_cost_usd",
        "version",
        "restarts",
        "last_sequence",
        "cancel_requested_at",
        "started_at",
        "ended_at",
        "deleted_at",
        "check_result",
    )
    return Job(
        **{name: row[name] for name in plain},
        status=Status(row["status"]),
        mode=Mode(row["mode"]),
        sandbox=Sandbox(row["sandbox_id"], row["sandbox_url"], row["preview_url"]),
        usage=Usage(**{name: row[name] for name in _USAGE}),
        failure=failure,
    )
