"""A project's sandbox from its first use to its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from kit.db import Database
from kit.db.listen import Listener, wait
from kit.errors import Conflict, NotFound, QuotaExceeded, ServiceError, Unavailable
from kit.ids import new_id
from services.sandbox.model import CloseReason, Sandbox, Status
from services.sandbox.repository import Repository
from services.sandbox.service.creation import Creation, CreationLimits, Superseded
from services.sandbox.service.reports import Reports
from services.sandbox.vendor import SandboxLost, SandboxVendor, VendorSandbox

_log = structlog.get_logger(__name__)
_POLL_SECONDS = 0.5
_SANDBOXES_TRIED = 3
# The vendor's clock and ours may differ: what vanishes so shortly before its end has expired.
_EXPIRY_SLACK = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class _Claim:
    """A project's open sandbox, and whether who asked is the one to make it."""

    sandbox: Sandbox
    mine: bool


class Lifecycle:
    """Makes, finds and closes sandboxes."""

    def __init__(
        self,
        database: Database,
        vendor: SandboxVendor,
        creation: Creation,
        reports: Reports,
        listener: Listener,
        limits: CreationLimits,
        max_active: int,
    ) -> None:
        """``max_active``: open sandboxes of one user at once."""
        self._database = database
        self._vendor = vendor
        self._creation = creation
        self._reports = reports
        self._listener = listener
        self._limits = limits
        self._max_active = max_active
        self._making: set[asyncio.Task[Sandbox]] = set()

    async def get(self, project_id: str, owner_id: str) -> Sandbox:
        """The project's sandbox, or its last one. Raises ``NotFound`` (SANDBOX_NOT_FOUND)."""
        async with self._database.begin() as connection:
            found = await Repository(connection).latest(project_id, owner_id)
        if found is None:
            raise _no_sandbox()
        return found

    @asynccontextmanager
    async def using(
        self, project_id: str, owner_id: str
    ) -> AsyncIterator[tuple[Sandbox, VendorSandbox]]:
        """The project's sandbox, open for use. Raises ``NotFound`` (SANDBOX_NOT_FOUND) where none runs."""
        async with self._database.begin() as connection:
            found = await Repository(connection).running(project_id, owner_id)
        if found is None:
            raise _no_sandbox()
        async with self.noticing(found):
            yield found, await self.connect(found)

    @asynccontextmanager
    async def noticing(self, sandbox: Sandbox) -> AsyncIterator[None]:
        """A sandbox that turns out to be gone is closed, and is then none: ``NotFound``."""
        try:
            yield
        except SandboxLost as exc:
            await self.lost(sandbox)
            raise _no_sandbox() from exc

    async def connect(self, sandbox: Sandbox) -> VendorSandbox:
        """A running sandbox, open for use. Raises ``SandboxLost``."""
        return await self._vendor.connect(sandbox.vendor_id)

    @asynccontextmanager
    async def told_apart(self, sandbox: Sandbox) -> AsyncIterator[None]:
        """A connection that broke because the sandbox has ended is ``SandboxLost``, not ``Unavailable``."""
        try:
            yield
        except Unavailable as exc:
            if await self._vendor.exists(sandbox.vendor_id):
                raise
            raise SandboxLost(sandbox.sandbox_id) from exc

    async def ensure(self, project_id: str, owner_id: str, generation_id: str = "") -> Sandbox:
        """The project's sandbox, active; made where there is none, by one of all who ask at the same time.

        Raises ``QuotaExceeded`` (SANDBOX_QUOTA), ``Unavailable``, ``Conflict`` (SANDBOX_CLOSED).
        """
        async with self._listener.wakeups(project_id) as changed:
            waited_for = ""
            while True:
                claim = await self._claim(project_id, owner_id, generation_id, waited_for)
                if claim.mine:
                    made = await self._made(claim.sandbox)
                    if made is not None:
                        return made
                elif claim.sandbox.status is not Status.CREATING:
                    return claim.sandbox
                else:
                    waited_for = claim.sandbox.sandbox_id
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

    async def answering(self, project_id: str, owner_id: str, generation_id: str = "") -> Sandbox:
        """As ``ensure``, and its preview answers: a sandbox that has died is replaced."""
        for _ in range(_SANDBOXES_TRIED):
            sandbox = await self.ensure(project_id, owner_id, generation_id)
            try:
                async with self.told_apart(sandbox):
                    live = await self.connect(sandbox)
                    if not await live.preview_answers():
                        await self._creation.serve_preview(live)
                        await self._creation.wait_for_preview(live)
            except SandboxLost:
                await self.lost(sandbox)
            else:
                return sandbox
        raise Unavailable("no sandbox lasts", reason="SANDBOX_FAILED", retry_after=2.0)

    async def close(self, project_id: str, owner_id: str) -> Sandbox:
        """Closes the project's sandbox. Raises ``NotFound`` (SANDBOX_NOT_FOUND) where none is open."""
        async with self._database.begin() as connection:
            repository = Repository(connection)
            found = await repository.opened(project_id, owner_id)
            closed = await repository.close(found, CloseReason.USER) if found else None
        if closed is None:
            raise _no_sandbox()
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

    async def lost(self, sandbox: Sandbox) -> None:
        """The sandbox vanished at the vendor's."""
        expired = sandbox.expires_at - _EXPIRY_SLACK <= datetime.now(UTC)
        reason = CloseReason.EXPIRED if expired else CloseReason.LOST
        async with self._database.begin() as connection:
            closed = await Repository(connection).close(sandbox, reason)
        if closed is not None:
            await self.after_closing(closed)

    async def after_closing(self, sandbox: Sandbox) -> None:
        """Ends a closed sandbox at the vendor's and tells of it. What fails here is caught up on by the sweep."""
        _log.info(
            "sandbox closed",
            sandbox=sandbox.sandbox_id,
            project=sandbox.project_id,
            reason=sandbox.close_reason,
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

    async def _claim(
        self, project_id: str, owner_id: str, generation_id: str, waited_for: str
    ) -> _Claim:
        async with self._database.begin() as connection:
            repository = Repository(connection)
            await repository.lock_owner(owner_id)
            expired = await repository.close_expired(owner_id)
            claim = await self._reserve(repository, project_id, owner_id, generation_id, waited_for)
        for sandbox in expired:
            await self.after_closing(sandbox)
        return claim

    async def _reserve(
        self,
        repository: Repository,
        project_id: str,
        owner_id: str,
        generation_id: str,
        waited_for: str,
    ) -> _Claim:
        found = await repository.opened(project_id, owner_id)
        if found is None:
            await self._check_outcome(repository, waited_for)
            await self._check_quota(repository, owner_id)
            row = {
                "sandbox_id": new_id("sbx"),
                "project_id": project_id,
                "owner_id": owner_id,
                "generation_id": generation_id,
            }
            limits = self._limits
            made = await repository.insert(row, limits.lifetime_seconds, limits.attempt_seconds)
            return _Claim(made, mine=True)
        if found.status is Status.CREATING:
            taken = await repository.take_over(found.sandbox_id, self._limits.attempt_seconds)
            if taken is not None:
                _log.warning("sandbox taken over", sandbox=taken.sandbox_id, attempt=taken.attempt)
                return _Claim(taken, mine=True)
        return _Claim(found, mine=False)

    async def _check_outcome(self, repository: Repository, waited_for: str) -> None:
        """All who waited for a sandbox that could not be made are told so, instead of trying one after another."""
        if not waited_for:
            return
        found = (await repository.by_ids([waited_for])).get(waited_for)
        if found is not None and found.close_reason is CloseReason.FAILED:
            raise Unavailable(
                "the sandbox could not be made", reason="SANDBOX_FAILED", retry_after=2.0
            )

    async def _check_quota(self, repository: Repository, owner_id: str) -> None:
        used = await repository.count_open(owner_id)
        if used >= self._max_active:
            raise QuotaExceeded(
                f"at most {self._max_active} sandboxes may be open at once, and {used} are; close one first",
                reason="SANDBOX_QUOTA",
                metadata={"limit": str(self._max_active), "used": str(used)},
            )

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


def _no_sandbox() -> NotFound:
    return NotFound("the project has no open sandbox", reason="SANDBOX_NOT_FOUND")
