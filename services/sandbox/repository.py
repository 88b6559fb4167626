"""Sandboxes: finding, making, closing. The database's clock is the only one that leases and expiry are measured by."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Row,
    Text,
    and_,
    case,
    cast,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.sandbox.ledger_repository import LedgerRepository
from services.sandbox.model import CloseReason, Sandbox, Status
from services.sandbox.report_repository import ReportRepository
from services.sandbox.tables import epochs, reports, sandboxes

OPEN = sandboxes.c.status != Status.CLOSED
ACTIVE = sandboxes.c.status == Status.ACTIVE
_KEPT = sandboxes.c.status.in_([Status.ACTIVE, Status.PAUSED])
_COUNTED = sandboxes.c.status.in_([Status.CREATING, Status.ACTIVE])
_PASSING = ~func.coalesce(sandboxes.c.persistent, False)
_HIDDEN = {"attempt_until"}
COLUMNS = [column for column in sandboxes.c if column.name not in _HIDDEN]


class Repository:
    """The service's tables, inside one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        """Everything happens in this connection's transaction."""
        self.connection = connection

    # Finding

    async def latest(self, project_id: str, owner_id: str) -> Sandbox | None:
        """The project's newest sandbox, open or closed."""
        query = (
            select(*COLUMNS)
            .where(sandboxes.c.project_id == project_id, sandboxes.c.owner_id == owner_id)
            .order_by(sandboxes.c.sandbox_id.desc())
            .limit(1)
        )
        return first_of((await self.connection.execute(query)).all())

    async def running(self, project_id: str, owner_id: str) -> Sandbox | None:
        """The project's sandbox where it is active and not expired."""
        query = select(*COLUMNS).where(
            sandboxes.c.project_id == project_id,
            sandboxes.c.owner_id == owner_id,
            ACTIVE,
            sandboxes.c.expires_at > func.now(),
        )
        return first_of((await self.connection.execute(query)).all())

    async def opened(self, project_id: str, owner_id: str) -> Sandbox | None:
        """The project's open sandbox, whatever it is doing."""
        query = select(*COLUMNS).where(
            sandboxes.c.project_id == project_id, sandboxes.c.owner_id == owner_id, OPEN
        )
        return first_of((await self.connection.execute(query)).all())

    async def by_ids(self, sandbox_ids: Iterable[str]) -> dict[str, Sandbox]:
        """Sandboxes by their ids."""
        query = select(*COLUMNS).where(sandboxes.c.sandbox_id.in_(list(sandbox_ids)))
        found = sandboxes_of((await self.connection.execute(query)).all())
        return {sandbox.sandbox_id: sandbox for sandbox in found}

    async def all_kept(self) -> list[Sandbox]:
        """All sandboxes that the vendor should have, running or asleep."""
        query = select(*COLUMNS).where(_KEPT, sandboxes.c.vendor_id != "")
        return sandboxes_of((await self.connection.execute(query)).all())

    async def all_unsettled(self) -> list[Sandbox]:
        """Running sandboxes whose files may differ from the store's."""
        query = select(*COLUMNS).where(ACTIVE, sandboxes.c.unsettled)
        return sandboxes_of((await self.connection.execute(query)).all())

    # Making

    async def lock_owner(self, owner_id: str) -> None:
        """Until the transaction ends nobody else reserves a sandbox for this user."""
        key = func.hashtextextended(f"sandboxes of {owner_id}", 0)
        await self.connection.execute(select(func.pg_advisory_xact_lock(key)))

    async def count(self, owner_id: str) -> tuple[int, int]:
        """How many sandboxes of a user run or are being made, and how many sleep."""
        query = select(
            func.count().filter(_COUNTED),
            func.count().filter(sandboxes.c.status == Status.PAUSED),
        ).where(sandboxes.c.owner_id == owner_id, OPEN)
        running, paused = (await self.connection.execute(query)).one()
        return int(running), int(paused)

    async def insert(self, sandbox: dict[str, Any], lifetime: float, attempt: float) -> Sandbox:
        """A new sandbox, being created by who calls, for whom ``attempt`` seconds are kept."""
        statement = (
            insert(sandboxes)
            .values(
                **sandbox,
                status=Status.CREATING,
                expires_at=in_seconds(lifetime),
                attempt_until=in_seconds(attempt),
            )
            .returning(*COLUMNS)
        )
        return _one((await self.connection.execute(statement)).one())

    async def take_over(self, sandbox_id: str, attempt: float) -> Sandbox | None:
        """Makes who calls the creator where the last one has not been heard of; ``None`` where it has."""
        statement = (
            update(sandboxes)
            .where(
                sandboxes.c.sandbox_id == sandbox_id,
                sandboxes.c.status == Status.CREATING,
                sandboxes.c.attempt_until < func.now(),
            )
            .values(
                attempt=sandboxes.c.attempt + 1,
                attempt_until=in_seconds(attempt),
                # One that is being woken is still the one that slept.
                vendor_id=case((sandboxes.c.paused_at.is_(None), ""), else_=sandboxes.c.vendor_id),
            )
            .returning(*COLUMNS)
        )
        return first_of((await self.connection.execute(statement)).all())

    async def renew(self, sandbox: Sandbox, attempt: float) -> bool:
        """Tells that the creator lives; false where it has been given up on."""
        return await self._mine(sandbox, attempt_until=in_seconds(attempt))

    async def name(self, sandbox: Sandbox, vendor_id: str) -> bool:
        """Notes the vendor's id; false where the creator has been given up on."""
        return await self._mine(sandbox, vendor_id=vendor_id)

    async def activate(self, sandbox: Sandbox, url: str) -> Sandbox | None:
        """The sandbox is ready; ``None`` where its creator has been given up on."""
        if not await self._mine(
            sandbox, status=Status.ACTIVE, url=url, paused_at=None, **settled(sandbox)
        ):
            return None
        await ReportRepository(self.connection).changed(sandbox)
        return (await self.by_ids([sandbox.sandbox_id]))[sandbox.sandbox_id]

    async def _mine(self, sandbox: Sandbox, **values: Any) -> bool:
        statement = (
            update(sandboxes)
            .where(
                sandboxes.c.sandbox_id == sandbox.sandbox_id,
                sandboxes.c.status == Status.CREATING,
                sandboxes.c.attempt == sandbox.attempt,
            )
            .values(**values)
        )
        return bool((await self.connection.execute(statement)).rowcount)

    # Closing

    async def close(self, sandbox: Sandbox, reason: CloseReason) -> Sandbox | None:
        """Closes an open sandbox; ``None`` where it was closed before."""
        found = await self._close(sandboxes.c.sandbox_id == sandbox.sandbox_id, reason)
        return found[0] if found else None

    async def close_run(self, sandbox: Sandbox, reason: CloseReason) -> Sandbox | None:
        """Closes an active sandbox; ``None`` where it is not active, or was woken anew."""
        same = and_(
            sandboxes.c.sandbox_id == sandbox.sandbox_id,
            sandboxes.c.attempt == sandbox.attempt,
            ACTIVE,
        )
        return next(iter(await self._close(same, reason)), None)

    async def close_attempt(self, sandbox: Sandbox) -> Sandbox | None:
        """Closes a sandbox that could not be made, where its creator has not been given up on."""
        ours = and_(
            sandboxes.c.sandbox_id == sandbox.sandbox_id,
            sandboxes.c.status == Status.CREATING,
            sandboxes.c.attempt == sandbox.attempt,
            sandboxes.c.paused_at.is_(None),
        )
        found = await self._close(ours, CloseReason.FAILED)
        return found[0] if found else None

    async def close_made_for(
        self, project_id: str, owner_id: str, generation_id: str
    ) -> list[Sandbox]:
        """Closes the project's sandbox where this generation made it."""
        made = and_(
            sandboxes.c.project_id == project_id,
            sandboxes.c.owner_id == owner_id,
            sandboxes.c.generation_id == generation_id,
        )
        return await self._close(made, CloseReason.FAILED)

    async def close_expired(self, which: ColumnElement[bool]) -> list[Sandbox]:
        """Closes what of these has expired and is not kept; what others are closing is left to them."""
        expired = and_(ACTIVE, _PASSING, sandboxes.c.expires_at <= func.now(), which)
        return await self._close(await self._claimed(expired), CloseReason.EXPIRED)

    async def close_passing(self, which: ColumnElement[bool]) -> list[Sandbox]:
        """Closes what of these is active and not kept: its time is over."""
        return await self._close(and_(ACTIVE, _PASSING, which), CloseReason.EXPIRED)

    async def close_abandoned(self) -> list[Sandbox]:
        """Closes what was being created by somebody who has not been heard of."""
        abandoned = and_(
            sandboxes.c.status == Status.CREATING,
            sandboxes.c.attempt_until < func.now(),
            sandboxes.c.paused_at.is_(None),
        )
        return await self._close(await self._claimed(abandoned), CloseReason.FAILED)

    async def _claimed(self, which: ColumnElement[bool]) -> ColumnElement[bool]:
        query = select(sandboxes.c.sandbox_id).where(which).with_for_update(skip_locked=True)
        return sandboxes.c.sandbox_id.in_((await self.connection.execute(query)).scalars().all())

    async def _close(self, which: ColumnElement[bool], reason: CloseReason) -> list[Sandbox]:
        statement = (
            update(sandboxes)
            .where(which, OPEN)
            .values(
                status=Status.CLOSED,
                close_reason=reason,
                closed_at=func.now(),
                unsettled=False,
            )
            .returning(*COLUMNS)
        )
        closed = sandboxes_of((await self.connection.execute(statement)).all())
        await LedgerRepository(self.connection).end(sandbox.sandbox_id for sandbox in closed)
        told = ReportRepository(self.connection)
        for sandbox in closed:
            await told.changed(sandbox)
        return closed

    async def forget_project(self, project_id: str) -> list[Sandbox]:
        """Removes all that is known of a project; answers its sandboxes that were open."""
        closing = delete(sandboxes).where(sandboxes.c.project_id == project_id).returning(*COLUMNS)
        gone = sandboxes_of((await self.connection.execute(closing)).all())
        await LedgerRepository(self.connection).end(sandbox.sandbox_id for sandbox in gone)
        await self.connection.execute(delete(reports).where(reports.c.project_id == project_id))
        await self.connection.execute(delete(epochs).where(epochs.c.project_id == project_id))
        return [sandbox for sandbox in gone if sandbox.status is not Status.CLOSED]

    async def forget_old(self, days: int) -> None:
        """Removes lease numbers that nobody has written with for so long, and sandboxes that were replaced."""
        old = func.now() - func.make_interval(0, 0, 0, days)
        await self.connection.execute(delete(epochs).where(epochs.c.seen_at < old))
        newer = sandboxes.alias()
        replaced = (
            select(newer.c.sandbox_id)
            .where(
                newer.c.project_id == sandboxes.c.project_id,
                newer.c.sandbox_id > sandboxes.c.sandbox_id,
            )
            .exists()
        )
        await self.connection.execute(
            delete(sandboxes).where(sandboxes.c.closed_at < old, replaced)
        )


def settled(sandbox: Sandbox) -> dict[str, Any]:
    """Columns of a sandbox that is settled as far as was noted when it was read; the rest is still to do."""
    since = sandboxes.c.dirt != sandbox.dirt
    nothing = cast([], ARRAY(Text))
    return {
        "unsettled": and_(sandboxes.c.unsettled, since),
        "reset": and_(sandboxes.c.reset, since),
        "removing": case((since, sandboxes.c.removing), else_=nothing),
    }


def of_owner(owner_id: str) -> ColumnElement[bool]:
    """One user's sandboxes."""
    return sandboxes.c.owner_id == owner_id


def among(found: Iterable[Sandbox]) -> ColumnElement[bool]:
    """These sandboxes, whatever they are by now."""
    return sandboxes.c.sandbox_id.in_([one.sandbox_id for one in found])


def in_seconds(seconds: float) -> ColumnElement[Any]:
    """The moment in so many seconds."""
    return func.now() + seconds_long(seconds)


def seconds_long(seconds: float) -> ColumnElement[Any]:
    """An interval of so many seconds."""
    return func.make_interval(0, 0, 0, 0, 0, 0, seconds)


def first_of(rows: Iterable[Row[Any]]) -> Sandbox | None:
    """The first of them, where there is one."""
    return next(iter(sandboxes_of(rows)), None)


def sandboxes_of(rows: Iterable[Row[Any]]) -> list[Sandbox]:
    """Sandboxes by their rows, which have ``COLUMNS``."""
    return [_one(row) for row in rows]


def _one(row: Row[Any]) -> Sandbox:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented way from a row to a mapping
    reason = values.pop("close_reason")
    return Sandbox(
        **{
            **values,
            "status": Status(values["status"]),
            "persistent": bool(values["persistent"]),
            "removing": tuple(values["removing"]),
        },
        close_reason=CloseReason(reason) if reason else None,
    )
