"""Sandboxes whose time is over, or nearly: what was done inside is taken over before they are closed or put to sleep.

Looked at every few seconds, since the vendor has a timer of its own: where it leaves no time after the end that was
promised, what was done inside is taken over shortly before, and a sandbox that is kept is put to sleep before the
vendor would end it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

from kit.db import Database
from services.sandbox.ledger_repository import LedgerRepository
from services.sandbox.life_repository import LifeRepository
from services.sandbox.model import Sandbox
from services.sandbox.repository import Repository, among
from services.sandbox.service.lifecycle import BeforeLeaving, Lifecycle
from services.sandbox.service.reconcile import Counts, tried
from services.sandbox.service.sleeping import Sleeping

_log = structlog.get_logger(__name__)
_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class EndingLimits:
    """Seconds; see the settings of the same names."""

    ending_look_seconds: float
    ending_lead_seconds: float
    vendor_grace_seconds: float
    vendor_maximum_seconds: float


class Ending:
    """Any replica may look, at any time, beside others."""

    def __init__(
        self,
        database: Database,
        lifecycle: Lifecycle,
        sleeping: Sleeping,
        before: BeforeLeaving,
        limits: EndingLimits,
    ) -> None:
        """``before`` takes over what was done inside."""
        self._database = database
        self._lifecycle = lifecycle
        self._sleeping = sleeping
        self._before = before
        self._limits = limits

    async def run(self, stopping: asyncio.Event) -> None:
        """Looks at once and then every few seconds, until the server stops."""
        while not stopping.is_set():
            await tried("end", self.once(Counts()))
            # Replicas that started together need not look together.
            wait = self._limits.ending_look_seconds * random.uniform(0.9, 1.1)  # noqa: S311 - no secret
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), wait)

    async def once(self, counts: Counts) -> None:
        """Takes over what is about to be lost, and ends what has expired."""
        await self._before_the_vendor(counts)
        async with self._database.begin() as connection:
            found = await LifeRepository(connection).expired()
        await self._leave(found)
        async with self._database.begin() as connection:
            closed = await Repository(connection).close_expired(among(found))
            parked = await LifeRepository(connection).park_expired(among(found))
        await self._settle(counts, "expired", closed, parked)

    async def end_spent(self, seconds_a_day: int, counts: Counts) -> None:
        """Ends the sandboxes of users whose seconds of the day are used up."""
        async with self._database.begin() as connection:
            owners = await LedgerRepository(connection).spent_owners(seconds_a_day)
            found = await LifeRepository(connection).running_of(owners)
        await self._leave(found)
        async with self._database.begin() as connection:
            closed = await Repository(connection).close_passing(among(found))
            parked = await LifeRepository(connection).park_persistent(among(found))
        await self._settle(counts, "seconds of the day used up", closed, parked)

    async def pause_idle(self, seconds: float, counts: Counts) -> None:
        """Puts to sleep what nobody has used for so long."""
        async with self._database.begin() as connection:
            found = await LifeRepository(connection).idle(seconds)
        await self._leave(found)
        async with self._database.begin() as connection:
            parked = await LifeRepository(connection).park_idle(seconds, among(found))
        await self._settle(counts, "idle", [], parked)

    async def end_abandoned(self, counts: Counts) -> None:
        """Ends what was being made or woken by somebody who has not been heard of."""
        async with self._database.begin() as connection:
            closed = await Repository(connection).close_abandoned()
            parked = await LifeRepository(connection).sleep_on_abandoned()
        await self._settle(counts, "abandoned", closed, parked)

    async def _before_the_vendor(self, counts: Counts) -> None:
        limits = self._limits
        async with self._database.begin() as connection:
            found = await LifeRepository(connection).ended_soon(
                limits.ending_lead_seconds,
                limits.vendor_grace_seconds,
                limits.vendor_maximum_seconds,
            )
        await self._leave(found)
        async with self._database.begin() as connection:
            parked = await LifeRepository(connection).park_persistent(among(found))
        await self._settle(counts, "about to be ended by the vendor", [], parked)

    async def _leave(self, found: Sequence[Sandbox]) -> None:
        turns = asyncio.Semaphore(_AT_ONCE)

        async def one(sandbox: Sandbox) -> None:
            async with turns:
                await tried("take over", self._before.before_leaving(sandbox))

        async with asyncio.TaskGroup() as tasks:
            for sandbox in found:
                tasks.create_task(one(sandbox))

    async def _settle(
        self, counts: Counts, cause: str, closed: Iterable[Sandbox], parked: Iterable[Sandbox]
    ) -> None:
        for sandbox in closed:
            counts.closed += 1
            await self._lifecycle.after_closing(sandbox, cause)
        for sandbox in parked:
            counts.paused += 1
            await self._sleeping.after_parking(sandbox, cause)
