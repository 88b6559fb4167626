"""Sandboxes that last longer, and sandboxes that their users put to sleep."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from kit.db import Database
from kit.errors import FailedPrecondition, QuotaExceeded, Unavailable
from services.sandbox.ledger_repository import LedgerRepository
from services.sandbox.life_repository import LifeRepository
from services.sandbox.locks import Locks
from services.sandbox.model import Sandbox, Status
from services.sandbox.repository import Repository
from services.sandbox.service.allowance import Allowance
from services.sandbox.service.claiming import no_sandbox
from services.sandbox.service.creation import CreationLimits
from services.sandbox.service.lifecycle import Lifecycle
from services.sandbox.service.sleeping import Sleeping
from services.sandbox.vendor import SandboxVendor

_TURN_SECONDS = 60.0


class Extension:
    """What users do with a sandbox's time."""

    def __init__(
        self,
        database: Database,
        vendor: SandboxVendor,
        locks: Locks,
        lifecycle: Lifecycle,
        sleeping: Sleeping,
        limits: CreationLimits,
        allowance: Allowance,
    ) -> None:
        """``limits`` has the longest life, ``allowance`` the seconds of a day."""
        self._database = database
        self._vendor = vendor
        self._locks = locks
        self._lifecycle = lifecycle
        self._sleeping = sleeping
        self._limits = limits
        self._allowance = allowance

    async def extend(self, project_id: str, owner_id: str, seconds: int) -> Sandbox:
        """Lets the sandbox last so many seconds from now (0: as a new one), waking it where it sleeps.

        The vendor is told first: a crash in between leaves a sandbox that the sweep ends at the old moment, never one
        that ends before the moment that was promised. Raises ``NotFound`` (SANDBOX_NOT_FOUND), ``FailedPrecondition``
        (SANDBOX_MAXIMUM), ``QuotaExceeded`` (SANDBOX_SECONDS), ``Unavailable``.
        """
        seconds = seconds or self._limits.lifetime_seconds
        found = await self._lifecycle.ensure(project_id, owner_id, make=False)
        # Noticed outside of the lock: who notices tells the vendor too.
        async with self._lifecycle.noticing(found), self._sleeping.alone(project_id):
            sandbox = await self._planned(project_id, owner_id, seconds)
            await self._vendor.last(sandbox.vendor_id, self._limits.at_vendor(sandbox))
            async with self._database.begin() as connection:
                extended = await LifeRepository(connection).extend(sandbox, sandbox.expires_at)
        if extended is None:
            raise no_sandbox()
        return extended

    async def pause(self, project_id: str, owner_id: str) -> Sandbox:
        """Puts the sandbox to sleep once nothing is being written into it.

        Raises ``NotFound`` (SANDBOX_NOT_FOUND), ``Unavailable`` (SANDBOX_BUSY).
        """
        try:
            async with asyncio.timeout(_TURN_SECONDS):
                await self._lifecycle.past_creation(project_id, owner_id)
                async with self._locks.hold(f"writing {project_id}"):
                    sandbox, parked = await self._parked(project_id, owner_id)
        except TimeoutError as exc:
            raise Unavailable(
                "the sandbox is busy", reason="SANDBOX_BUSY", retry_after=5.0
            ) from exc
        if parked:
            await self._sleeping.after_parking(sandbox, "user")
        return sandbox

    async def _planned(self, project_id: str, owner_id: str, seconds: int) -> Sandbox:
        """The sandbox with the end that it is to have."""
        async with self._database.begin() as connection:
            repository = Repository(connection)
            await repository.lock_owner(owner_id)
            sandbox = await repository.running(project_id, owner_id)
            if sandbox is None:
                raise no_sandbox()
            now = await LedgerRepository(connection).now()
            self._check_maximum(sandbox, (now - sandbox.started_at).total_seconds(), seconds)
            allowed = await self._allowance.lifetime(connection, owner_id, seconds)
        if allowed < seconds:
            raise self._too_little(int(allowed))
        wanted = now + timedelta(seconds=seconds)
        return sandbox.ending(max(sandbox.expires_at, wanted))

    def _check_maximum(self, sandbox: Sandbox, age: float, seconds: int) -> None:
        longest = self._limits.longest_seconds
        if age + seconds <= longest:
            return
        latest = sandbox.started_at + timedelta(seconds=longest)
        raise FailedPrecondition(
            f"seconds: a sandbox lasts at most {longest} seconds from its start or waking; "
            f"this one until {latest:%Y-%m-%d %H:%M:%S} UTC, at most {max(0, int(longest - age))} seconds from now",
            reason="SANDBOX_MAXIMUM",
            metadata={"limit": str(longest), "latest": latest.isoformat()},
        )

    def _too_little(self, left: int) -> QuotaExceeded:
        limit = self._allowance.max_seconds_a_day
        return QuotaExceeded(
            f"seconds: sandboxes may run {limit} seconds a day, and only {left} are left today",
            reason="SANDBOX_SECONDS",
            metadata={"limit": str(limit), "used": str(limit - left)},
        )

    async def _parked(self, project_id: str, owner_id: str) -> tuple[Sandbox, bool]:
        """The sandbox, asleep, and whether it was put to sleep just now."""
        async with self._database.begin() as connection:
            found = await Repository(connection).opened(project_id, owner_id)
            if found is None:
                raise no_sandbox()
            if found.status is Status.PAUSED:
                return found, False
            parked = await LifeRepository(connection).park(found)
        if parked is None:
            raise Unavailable("the sandbox is busy", reason="SANDBOX_BUSY", retry_after=1.0)
        return parked, True
