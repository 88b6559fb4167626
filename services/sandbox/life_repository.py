"""SQL of sandboxes that sleep, wake, last longer and are used."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.sandbox.ledger_repository import LedgerRepository
from services.sandbox.model import Sandbox, Size, Status
from services.sandbox.report_repository import ReportRepository
from services.sandbox.repository import (
    COLUMNS,
    OPEN,
    in_seconds,
    sandboxes_of,
    seconds_long,
)
from services.sandbox.tables import sandboxes

_ACTIVE = sandboxes.c.status == Status.ACTIVE
_PAUSED = sandboxes.c.status == Status.PAUSED
_WAKING = and_(sandboxes.c.status == Status.CREATING, sandboxes.c.paused_at.is_not(None))
_PERSISTENT = func.coalesce(sandboxes.c.persistent, False)


class LifeRepository:
    """The same table as ``Repository``, inside one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        """Everything happens in this connection's transaction."""
        self.connection = connection

    # Falling asleep

    async def park(self, sandbox: Sandbox) -> Sandbox | None:
        """Puts an active sandbox to sleep; ``None`` where it is not active, or was woken anew."""
        same = and_(
            sandboxes.c.sandbox_id == sandbox.sandbox_id,
            sandboxes.c.attempt == sandbox.attempt,
            _ACTIVE,
        )
        return next(iter(await self._park(same)), None)

    async def park_expired(self, which: ColumnElement[bool]) -> list[Sandbox]:
        """Puts to sleep what of these is persistent and whose time is over."""
        over = and_(_ACTIVE, _PERSISTENT, sandboxes.c.expires_at <= func.now(), which)
        return await self._park(await self._claimed(over))

    async def park_idle(self, seconds: float, which: ColumnElement[bool]) -> list[Sandbox]:
        """Puts to sleep what of these nobody has used for so long."""
        idle = and_(_ACTIVE, sandboxes.c.used_at < in_seconds(-seconds), which)
        return await self._park(await self._claimed(idle))

    async def park_persistent(self, which: ColumnElement[bool]) -> list[Sandbox]:
        """Puts to sleep what of these is persistent."""
        return await self._park(await self._claimed(and_(_ACTIVE, _PERSISTENT, which)))

    # About to leave

    async def expired(self) -> list[Sandbox]:
        """Sandboxes that run though their time is over."""
        return await self._active(sandboxes.c.expires_at <= func.now())

    async def idle(self, seconds: float) -> list[Sandbox]:
        """Sandboxes that nobody has used for so long."""
        return await self._active(sandboxes.c.used_at < in_seconds(-seconds))

    async def running_of(self, owners: Sequence[str]) -> list[Sandbox]:
        """The sandboxes of these users that run."""
        return await self._active(sandboxes.c.owner_id.in_(owners))

    async def ended_soon(self, seconds: float, grace: float, longest: float) -> list[Sandbox]:
        """Sandboxes that the vendor itself ends within so many seconds.

        It does so ``grace`` seconds after their time is over, or ``longest`` after their start.
        """
        soon = in_seconds(seconds)
        by_vendor = func.least(
            sandboxes.c.expires_at + seconds_long(grace),
            sandboxes.c.started_at + seconds_long(longest),
        )
        # The first is no more than an index understands: nobody promises more than the vendor gives.
        return await self._active(and_(sandboxes.c.expires_at <= soon, by_vendor <= soon))

    async def _active(self, which: ColumnElement[bool]) -> list[Sandbox]:
        query = select(*COLUMNS).where(_ACTIVE, which)
        return sandboxes_of((await self.connection.execute(query)).all())

    async def sleep_on(self, sandbox: Sandbox, *, forget_vendor: bool) -> Sandbox | None:
        """A sandbox could not be woken; ``None`` where who woke it has been given up on.

        ``forget_vendor``: what the vendor had is gone.
        """
        same = and_(
            sandboxes.c.sandbox_id == sandbox.sandbox_id,
            sandboxes.c.attempt == sandbox.attempt,
            _WAKING,
        )
        found = next(iter(await self._sleep_on(same)), None)
        if found is not None and forget_vendor:
            await self.forget_vendor(found)
        return found

    async def sleep_on_abandoned(self) -> list[Sandbox]:
        """Sandboxes that were being woken by somebody who has not been heard of."""
        abandoned = and_(_WAKING, sandboxes.c.attempt_until < func.now())
        return await self._sleep_on(await self._claimed(abandoned))

    async def forget_vendor(self, sandbox: Sandbox) -> bool:
        """The vendor has nothing any more of a sleeping sandbox; false where it does not sleep."""
        statement = (
            update(sandboxes)
            .where(
                sandboxes.c.sandbox_id == sandbox.sandbox_id,
                sandboxes.c.vendor_id == sandbox.vendor_id,
                _PAUSED,
            )
            .values(vendor_id="")
        )
        return bool((await self.connection.execute(statement)).rowcount)

    # Waking

    async def wake(self, sandbox: Sandbox, seconds: float, attempt: float, size: Size) -> Sandbox:
        """A sleeping sandbox is being woken by who calls, to run for so many seconds. Call it with the row locked."""
        statement = (
            update(sandboxes)
            .where(sandboxes.c.sandbox_id == sandbox.sandbox_id, _PAUSED)
            .values(
                status=Status.CREATING,
                attempt=sandboxes.c.attempt + 1,
                attempt_until=in_seconds(attempt),
                started_at=func.now(),
                used_at=func.now(),
                expires_at=in_seconds(seconds),
            )
            .returning(*COLUMNS)
        )
        (woken,) = sandboxes_of((await self.connection.execute(statement)).all())
        await LedgerRepository(self.connection).begin(woken, size)
        return woken

    # Lasting

    async def extend(self, sandbox: Sandbox, expires_at: datetime) -> Sandbox | None:
        """Moves an active sandbox's end, never to an earlier one; ``None`` where it is not active."""
        statement = (
            update(sandboxes)
            .where(
                sandboxes.c.sandbox_id == sandbox.sandbox_id,
                sandboxes.c.attempt == sandbox.attempt,
                _ACTIVE,
            )
            .values(
                expires_at=func.greatest(sandboxes.c.expires_at, expires_at), used_at=func.now()
            )
            .returning(*COLUMNS)
        )
        return next(iter(sandboxes_of((await self.connection.execute(statement)).all())), None)

    async def touch(self, sandbox_id: str) -> None:
        """Somebody uses the sandbox now."""
        await self.connection.execute(
            update(sandboxes)
            .where(sandboxes.c.sandbox_id == sandbox_id, OPEN)
            .values(used_at=func.now())
        )

    # Keeping

    async def learn_persistent(self, sandbox_id: str, *, persistent: bool) -> None:
        """Notes what the project said when it was asked, unless something newer is known."""
        await self.connection.execute(
            update(sandboxes)
            .where(sandboxes.c.sandbox_id == sandbox_id, sandboxes.c.persistent.is_(None))
            .values(persistent=persistent)
        )

    async def set_persistent(self, project_id: str, owner_id: str, *, persistent: bool) -> None:
        """Notes what has changed in the project."""
        await self.connection.execute(
            update(sandboxes)
            .where(sandboxes.c.project_id == project_id, sandboxes.c.owner_id == owner_id, OPEN)
            .values(persistent=persistent)
        )

    async def _claimed(self, which: ColumnElement[bool]) -> ColumnElement[bool]:
        query = select(sandboxes.c.sandbox_id).where(which).with_for_update(skip_locked=True)
        return sandboxes.c.sandbox_id.in_((await self.connection.execute(query)).scalars().all())

    async def _park(self, which: ColumnElement[bool]) -> list[Sandbox]:
        left = func.extract("epoch", sandboxes.c.expires_at - func.now())
        statement = (
            update(sandboxes)
            .where(which, _ACTIVE)
            .values(
                status=Status.PAUSED,
                paused_at=func.now(),
                rest_seconds=func.greatest(0, left),
            )
            .returning(*COLUMNS)
        )
        return await self._fallen_asleep(
            sandboxes_of((await self.connection.execute(statement)).all())
        )

    async def _sleep_on(self, which: ColumnElement[bool]) -> list[Sandbox]:
        statement = (
            update(sandboxes).where(which, _WAKING).values(status=Status.PAUSED).returning(*COLUMNS)
        )
        return await self._fallen_asleep(
            sandboxes_of((await self.connection.execute(statement)).all())
        )

    async def _fallen_asleep(self, found: list[Sandbox]) -> list[Sandbox]:
        await LedgerRepository(self.connection).end(one.sandbox_id for one in found)
        for sandbox in found:
            await ReportRepository(self.connection).changed(sandbox)
        return found
