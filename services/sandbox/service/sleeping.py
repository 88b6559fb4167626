"""Sandboxes that sleep, at the vendor's: put to sleep after their rows say so, and woken.

A row says that its sandbox sleeps before the vendor does it, so that a crash in between leaves a sandbox that the sweep
finds running and puts to sleep. What one project's sandbox is told goes one after another: a late pause must not reach
one that was woken meanwhile.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from kit.db import Database
from kit.errors import ServiceError
from services.sandbox.life_repository import LifeRepository
from services.sandbox.locks import Locks
from services.sandbox.model import Sandbox, Status
from services.sandbox.repository import Repository
from services.sandbox.service.filling import Filling
from services.sandbox.service.reports import Reports
from services.sandbox.vendor import CannotPause, SandboxLost, SandboxVendor, VendorSandbox

_log = structlog.get_logger(__name__)


class Sleeping:
    """Puts sandboxes to sleep and wakes them."""

    def __init__(
        self,
        database: Database,
        vendor: SandboxVendor,
        locks: Locks,
        filling: Filling,
        reports: Reports,
    ) -> None:
        """Rows are somebody else's: here the vendor is told what they say."""
        self._database = database
        self._vendor = vendor
        self._locks = locks
        self._filling = filling
        self._reports = reports

    @asynccontextmanager
    async def alone(self, project_id: str) -> AsyncIterator[None]:
        """Inside of it nobody else tells the vendor how long the project's sandbox runs."""
        async with self._locks.hold(f"life {project_id}"):
            yield

    async def after_parking(self, sandbox: Sandbox, cause: str) -> None:
        """Puts a sandbox to sleep whose row sleeps, and tells of it. What fails is caught up on by the sweep."""
        _log.info(
            "sandbox paused", sandbox=sandbox.sandbox_id, project=sandbox.project_id, cause=cause
        )
        try:
            await self.put_to_sleep(sandbox)
        except ServiceError as exc:
            _log.warning("not paused yet", sandbox=sandbox.sandbox_id, error=exc.reason)
        await self._reports.tell(sandbox.project_id)

    async def put_to_sleep(self, sandbox: Sandbox) -> None:
        """Puts a sandbox to sleep at the vendor's, where its row still says so.

        One that the vendor can't pause is ended there: the store has its files.
        """
        async with self.alone(sandbox.project_id):
            async with self._database.begin() as connection:
                found = await Repository(connection).by_ids([sandbox.sandbox_id])
            now = found.get(sandbox.sandbox_id)
            if now is None or now.status is not Status.PAUSED or not now.vendor_id:
                return
            try:
                await self._vendor.pause(now.vendor_id)
            except SandboxLost:
                await self._forget(now)
            except CannotPause:
                _log.info("ended instead of paused", sandbox=now.sandbox_id)
                await self._forget(now)
                await self._vendor.kill(now.vendor_id)

    async def wake(self, sandbox: Sandbox, seconds: int) -> VendorSandbox | None:
        """A sandbox that slept, with the store's files, to run so long; ``None`` where the vendor has it no more."""
        if not sandbox.vendor_id:
            return None
        try:
            async with self.alone(sandbox.project_id):
                live = await self._vendor.wake(sandbox.vendor_id, seconds)
            # Whatever happened while it slept: the store is the truth.
            await self._filling.align(live, sandbox)
        except SandboxLost:
            _log.warning("lost while it slept", sandbox=sandbox.sandbox_id)
            return None
        return live

    async def _forget(self, sandbox: Sandbox) -> None:
        async with self._database.begin() as connection:
            await LifeRepository(connection).forget_vendor(sandbox)
