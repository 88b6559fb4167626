"""Now and then: what has expired, idles or has used up its day is closed or put to sleep, what somebody died over is
taken up, what differs at the vendor's is set right, and what could not be told is told."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from kit.db import Database
from services.sandbox.command_repository import CommandRepository
from services.sandbox.ledger_repository import LedgerRepository
from services.sandbox.repository import Repository
from services.sandbox.service.ending import Ending
from services.sandbox.service.reconcile import Counts, Reconcile, tried
from services.sandbox.service.reports import Reports
from services.sandbox.service.syncing import Syncing

_log = structlog.get_logger(__name__)
_OLD_DAYS = 30
# Two years and a bit: what a month cost can still be told a year later.
_OLD_LEDGER_DAYS = 800


class Sweep:
    """Any replica may sweep, at any time, beside others."""

    def __init__(
        self,
        database: Database,
        ending: Ending,
        reconcile: Reconcile,
        reports: Reports,
        syncing: Syncing,
        *,
        idle_seconds: float,
        seconds_a_day: int,
    ) -> None:
        """``idle_seconds``, ``seconds_a_day``: 0 where there is no such limit."""
        self._database = database
        self._ending = ending
        self._reconcile = reconcile
        self._reports = reports
        self._syncing = syncing
        self._idle_seconds = idle_seconds
        self._seconds_a_day = seconds_a_day

    async def run(self, seconds: float, stopping: asyncio.Event) -> None:
        """Sweeps at once and then every so many seconds, until the server stops."""
        while not stopping.is_set():
            await self.once()
            # Replicas that started together need not sweep together.
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), seconds * random.uniform(0.9, 1.1))  # noqa: S311 - no secret

    async def once(self) -> Counts:
        """One sweep; what it did."""
        counts = Counts()
        parts: list[Callable[[Counts], Awaitable[None]]] = [
            self._ending.once,
            self._end_spent,
            self._pause_idle,
            self._ending.end_abandoned,
            self._reconcile.once,
            self._align_unsettled,
            self._send_reports,
            self._forget_old,
        ]
        for part in parts:
            await tried(part.__name__, part(counts))
        _log.info("sweep done", **counts.as_fields())
        return counts

    async def _end_spent(self, counts: Counts) -> None:
        if self._seconds_a_day:
            await self._ending.end_spent(self._seconds_a_day, counts)

    async def _pause_idle(self, counts: Counts) -> None:
        if self._idle_seconds:
            await self._ending.pause_idle(self._idle_seconds, counts)

    async def _align_unsettled(self, counts: Counts) -> None:
        """A write that did not come to an end, and no other came after it."""
        async with self._database.begin() as connection:
            found = await Repository(connection).all_unsettled()
        for sandbox in found:
            # Brings it in line; what was made inside is taken over after that.
            if not await self._syncing.sync(sandbox):
                await self._syncing.sync(sandbox)
        counts.aligned += len(found)

    async def _send_reports(self, counts: Counts) -> None:
        counts.reports += await self._reports.retry()

    async def _forget_old(self, _: Counts) -> None:
        async with self._database.begin() as connection:
            await Repository(connection).forget_old(_OLD_DAYS)
            await LedgerRepository(connection).forget_old(_OLD_LEDGER_DAYS)
            await CommandRepository(connection).forget_old(_OLD_DAYS)
