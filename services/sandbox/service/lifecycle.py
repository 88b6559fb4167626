"""A project's sandbox from its first use to its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog

from kit.db import Database
from kit.db.listen import Listener, wait
from kit.errors import Conflict, ServiceError, Unavailable
from services.sandbox.life_repository import LifeRepository
from services.sandbox.model import CloseReason, Sandbox, Status
from services.sandbox.repository import Repository
from services.sandbox.service.attending import Attending
from services.sandbox.service.claiming import Claim, Claiming, Leaving, Wish, no_sandbox
from services.sandbox.service.creation import Creation, Superseded
from services.sandbox.service.reports import Reports
from services.sandbox.service.sleeping import Sleeping
from services.sandbox.service.use import Use
from services.sandbox.vendor import SandboxLost, SandboxVendor, VendorSandbox, VendorState

_log = structlog.get_logger(__name__)
_POLL_SECONDS = 0.5
_SANDBOXES_TRIED = 3
# The vendor's clock and ours may differ: what vanishes so shortly before its end has expired.
_EXPIRY_SLACK = timedelta(seconds=10)


class BeforeLeaving(Protocol):
    """Who wants to know of sandboxes that are about to sleep or to end."""

    async def before_leaving(self, sandbox: Sandbox, *, writing: bool = False) -> None:
        """Called before; returns soon and raises nothing. ``writing``: who asks has the project's files to itself."""


class NobodyBefore:
    """Nobody wants to know."""

    async def before_leaving(self, sandbox: Sandbox, *, writing: bool = False) -> None:
        """Does nothing."""


class Lifecycle:
    """Makes, finds, wakes and closes sandboxes."""

    def __init__(
        self,
        database: Database,
        vendor: SandboxVendor,
        claiming: Claiming,
        creation: Creation,
        sleeping: Sleeping,
        reports: Reports,
        listener: Listener,
        use: Use,
        attending: Attending,
    ) -> None:
        """``use`` notes that sandboxes are used; ``attending`` looks after their previews meanwhile."""
        self._database = database
        self._vendor = vendor
        self._claiming = claiming
        self._creation = creation
        self._sleeping = sleeping
        self._reports = reports
        self._listener = listener
        self._use = use
        self.before: BeforeLeaving = NobodyBefore()
        self._attending = attending
        self._making: set[asyncio.Task[Sandbox]] = set()

    async def get(self, project_id: str, owner_id: str) -> Sandbox:
        """The project's sandbox, or its last one. Raises ``NotFound`` (SANDBOX_NOT_FOUND)."""
        async with self._database.begin() as connection:
            found = await Repository(connection).latest(project_id, owner_id)
        if found is None:
            raise no_sandbox()
        return found

    @asynccontextmanager
    async def using(
        self, project_id: str, owner_id: str
    ) -> AsyncIterator[tuple[Sandbox, VendorSandbox]]:
        """The project's sandbox, open for use; one that sleeps is woken first. Inside of it it does not count as idle.

        Raises ``NotFound`` (SANDBOX_NOT_FOUND) where none is open, and what waking one raises.
        """
        found, live = await self._opened(project_id, owner_id)
        async with self._use.of(found), self.noticing(found), self.told_apart(found):
            yield found, live

    async def _opened(self, project_id: str, owner_id: str) -> tuple[Sandbox, VendorSandbox]:
        for _ in range(_SANDBOXES_TRIED):
            async with self._database.begin() as connection:
                found = await Repository(connection).running(project_id, owner_id)
            if found is None:
                found = await self.ensure(project_id, owner_id, make=False)
            try:
                return found, await self.connect(found)
            except SandboxLost:
                await self.lost(found)
        raise Unavailable("no sandbox lasts", reason="SANDBOX_FAILED", retry_after=2.0)

    @asynccontextmanager
    async def noticing(self, sandbox: Sandbox) -> AsyncIterator[None]:
        """A sandbox that turns out to be gone is closed, and is then none: ``NotFound``.

        One that turns out to sleep, or is kept, is woken by the next use: ``Unavailable`` (SANDBOX_ASLEEP).
        """
        try:
            yield
        except SandboxLost as exc:
            if await self.lost(sandbox):
                raise no_sandbox() from exc
            raise Unavailable(
                "the sandbox fell asleep; it wakes with the next use",
                reason="SANDBOX_ASLEEP",
                retry_after=0.5,
            ) from exc

    async def connect(self, sandbox: Sandbox) -> VendorSandbox:
        """A running sandbox, open for use. Raises ``SandboxLost``."""
        left = (sandbox.expires_at - datetime.now(UTC)).total_seconds()
        live = await self._vendor.connect(sandbox.vendor_id, max(1, int(left)))
        self._attending.look_after(sandbox, live)
        return live

    @asynccontextmanager
    async def told_apart(self, sandbox: Sandbox) -> AsyncIterator[None]:
        """A connection that broke because the sandbox ended or sleeps is ``SandboxLost``, not ``Unavailable``."""
        try:
            yield
        except Unavailable as exc:
            if await self._vendor.state(sandbox.vendor_id) is VendorState.RUNNING:
                raise
            raise SandboxLost(sandbox.sandbox_id) from exc

    async def ensure(
        self,
        project_id: str,
        owner_id: str,
        generation_id: str = "",
        *,
        make: bool = True,
        writing: bool = False,
    ) -> Sandbox:
        """The project's sandbox, active; made or woken by one of all who ask at the same time.

        ``writing``: who asks has the project's files to itself.
        Where there is none and it is not to be made: ``NotFound`` (SANDBOX_NOT_FOUND). Raises ``QuotaExceeded``
        (SANDBOX_QUOTA, SANDBOX_SECONDS), ``Unavailable``, ``Conflict`` (SANDBOX_CLOSED).
        """
        wish = Wish(project_id, owner_id, generation_id, make)
        async with self._listener.wakeups(project_id) as changed:
            waited_for: Sandbox | None = None
            while True:
                claim = await self._claim(wish, waited_for, writing=writing)
                if claim.mine:
                    made = await self._made(claim.sandbox)
                    if made is not None:
                        return made
                elif claim.sandbox.status is not Status.CREATING:
                    return claim.sandbox
                else:
                    waited_for = claim.sandbox
                    await wait(changed, _POLL_SECONDS)

    async def past_creation(self, project_id: str, owner_id: str) -> None:
        """Returns when no sandbox of the project is being made."""
        async with self._listener.wakeups(project_id) as changed:
            while True:
                async with self._database.begin() as connection:
                    found = await Repository(connection).opened(project_id, owner_id)
                if found is None or found.status is not Status.CREATING:
                    return
                await wait(changed, _POLL_SECONDS)

    async def answering(
        self, project_id: str, owner_id: str, generation_id: str = "", *, make: bool = True
    ) -> Sandbox:
        """As ``ensure``, and its preview answers: a sandbox that has died is replaced."""
        for _ in range(_SANDBOXES_TRIED):
            sandbox = await self.ensure(project_id, owner_id, generation_id, make=make)
            try:
                async with self.told_apart(sandbox):
                    await self._creation.serve_preview(await self.connect(sandbox))
            except SandboxLost:
                await self.lost(sandbox)
            else:
                await self._use.touch(sandbox)
                return sandbox
        raise Unavailable("no sandbox lasts", reason="SANDBOX_FAILED", retry_after=2.0)

    async def close(self, project_id: str, owner_id: str) -> Sandbox:
        """Closes the project's sandbox. Raises ``NotFound`` (SANDBOX_NOT_FOUND) where none is open."""
        async with self._database.begin() as connection:
            repository = Repository(connection)
            found = await repository.opened(project_id, owner_id)
            closed = await repository.close(found, CloseReason.USER) if found else None
        if closed is None:
            raise no_sandbox()
        await self.after_closing(closed)
        return closed

    async def discard(self, project_id: str, owner_id: str, generation_id: str) -> None:
        """Closes the project's sandbox where this generation made it."""
        async with self._database.begin() as connection:
            closed = await Repository(connection).close_made_for(
                project_id, owner_id, generation_id
            )
        for sandbox in closed:
            await self.after_closing(sandbox)

    async def lost(self, sandbox: Sandbox) -> bool:
        """The sandbox vanished at the vendor's, or fell asleep there. Whether the project has none now.

        One that is kept, or that the vendor still has, sleeps on; the next use wakes it.
        """
        asleep = await self._vendor.state(sandbox.vendor_id) is VendorState.PAUSED
        expired = sandbox.expires_at - _EXPIRY_SLACK <= datetime.now(UTC)
        reason = CloseReason.EXPIRED if expired else CloseReason.LOST
        closed = parked = None
        async with self._database.begin() as connection:
            repository, life = Repository(connection), LifeRepository(connection)
            known = (await repository.by_ids([sandbox.sandbox_id])).get(sandbox.sandbox_id)
            if asleep or (known is not None and known.persistent):
                parked = await life.park(sandbox)
                if parked is not None and not asleep:
                    await life.forget_vendor(parked)
            else:
                closed = await repository.close_run(sandbox, reason)
        if closed is not None:
            await self.after_closing(closed)
        if parked is not None:
            await self._sleeping.after_parking(parked, "paused by the vendor" if asleep else "lost")
        async with self._database.begin() as connection:
            return await Repository(connection).opened(sandbox.project_id, sandbox.owner_id) is None

    async def after_closing(self, sandbox: Sandbox, cause: str = "") -> None:
        """Ends a closed sandbox at the vendor's and tells of it. What fails here is caught up on by the sweep."""
        _log.info(
            "sandbox closed",
            sandbox=sandbox.sandbox_id,
            project=sandbox.project_id,
            reason=sandbox.close_reason,
            cause=cause or sandbox.close_reason,
        )
        await self.kill(sandbox)
        await self._reports.tell(sandbox.project_id)

    async def kill(self, sandbox: Sandbox) -> None:
        """Ends a sandbox at the vendor's, where it got that far; a failure is only told."""
        if not sandbox.vendor_id:
            return
        try:
            await self._vendor.kill(sandbox.vendor_id)
        except ServiceError as exc:
            _log.warning("not ended yet", sandbox=sandbox.sandbox_id, error=exc.reason)

    async def finish(self, seconds: float) -> None:
        """Gives the sandboxes that are being made so long, then gives them up."""
        if self._making:
            _, late = await asyncio.wait(self._making, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _claim(self, wish: Wish, waited_for: Sandbox | None, *, writing: bool) -> Claim:
        left: set[str] = set()
        while True:
            try:
                claimed = await self._claiming.claim(wish, waited_for, left)
                break
            except Leaving as leaving:
                for sandbox in leaving.sandboxes:
                    ours = writing and sandbox.project_id == wish.project_id
                    await self.before.before_leaving(sandbox, writing=ours)
                    left.add(sandbox.sandbox_id)
        for sandbox in claimed.closed:
            await self.after_closing(sandbox)
        for sandbox in claimed.parked:
            await self._sleeping.after_parking(sandbox, "expired")
        return claimed.claim

    async def _made(self, sandbox: Sandbox) -> Sandbox | None:
        """The sandbox, made; ``None`` where somebody else has taken it over.

        It is made to its end even if who asked goes away: others may wait for it.
        """
        task = asyncio.create_task(self._creation.make(sandbox))
        self._making.add(task)
        task.add_done_callback(self._forget_made)
        try:
            return await asyncio.shield(task)
        except Superseded as exc:
            async with self._database.begin() as connection:
                found = await Repository(connection).by_ids([sandbox.sandbox_id])
            now = found.get(sandbox.sandbox_id)
            if now is None or now.status is Status.CLOSED:
                raise Conflict(
                    "the sandbox was closed while it was being made", reason="SANDBOX_CLOSED"
                ) from exc
            return None

    def _forget_made(self, task: asyncio.Task[Sandbox]) -> None:
        self._making.discard(task)
        if not task.cancelled():
            # Looked at, so that asyncio does not complain where nobody waits any more.
            task.exception()
