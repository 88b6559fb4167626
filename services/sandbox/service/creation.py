"""Making one sandbox: ask the vendor, put the preview server in, fill it, wait until it answers."""

from __future__ import annotations

import asyncio
import io
import math
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from kit.db import Database
from kit.errors import QuotaExceeded, Unavailable
from services.sandbox.life_repository import LifeRepository
from services.sandbox.model import Content, Sandbox
from services.sandbox.preview.bundle import PreviewServer
from services.sandbox.projects_peer import ProjectsPeer
from services.sandbox.repository import Repository
from services.sandbox.service.filling import Filling, aside_path
from services.sandbox.service.reports import Reports
from services.sandbox.service.sleeping import Sleeping
from services.sandbox.vendor import (
    DiskFull,
    PathMissing,
    PathUnfit,
    SandboxLost,
    SandboxVendor,
    Upload,
    VendorSandbox,
)

_log = structlog.get_logger(__name__)
_FIRST_WAIT, _LONGEST_WAIT = 0.01, 0.25


class Superseded(Exception):
    """Who makes this sandbox has been given up on, or it was closed while it was being made."""


@dataclass(frozen=True, slots=True)
class CreationLimits:
    """Seconds; see the settings of the same names."""

    lifetime_seconds: int
    longest_seconds: int
    """The longest life, counted from the start or the last waking."""
    vendor_grace_seconds: int
    vendor_maximum_seconds: int
    create_timeout_seconds: float
    attempt_seconds: float
    preview_timeout_seconds: float

    def at_vendor(self, sandbox: Sandbox) -> int:
        """From now on, the vendor's own limit to the sandbox's life: a while later than ours."""
        now = datetime.now(UTC)
        wanted = (sandbox.expires_at - now).total_seconds() + self.vendor_grace_seconds
        most = self.vendor_maximum_seconds - (now - sandbox.started_at).total_seconds()
        return max(1, math.ceil(min(wanted, most)))


class Creation:
    """Makes sandboxes whose rows are written already."""

    def __init__(
        self,
        database: Database,
        vendor: SandboxVendor,
        projects: ProjectsPeer,
        filling: Filling,
        sleeping: Sleeping,
        reports: Reports,
        limits: CreationLimits,
        deployment: str,
        server: PreviewServer,
    ) -> None:
        """``deployment`` labels the sandboxes; ``server`` is put into each."""
        self._database = database
        self._vendor = vendor
        self._projects = projects
        self._filling = filling
        self._sleeping = sleeping
        self._reports = reports
        self._limits = limits
        self._deployment = deployment
        self._server = server

    async def make(self, sandbox: Sandbox) -> Sandbox:
        """The sandbox, active. On any failure it is closed, here and at the vendor's, or sleeps on where it slept.

        Raises ``Superseded``, ``Unavailable``, ``QuotaExceeded``, and what reading the store raises.
        """
        vendor_ids: list[str] = []
        try:
            with _told():
                async with (
                    self._renewing(sandbox),
                    asyncio.timeout(self._limits.create_timeout_seconds),
                ):
                    made = await self._make(sandbox, vendor_ids)
        except BaseException:
            await self._clean_up(sandbox, vendor_ids)
            raise
        _log.info("sandbox made", sandbox=made.sandbox_id, project=made.project_id)
        await self._reports.tell(made.project_id)
        return made

    async def serve_preview(self, live: VendorSandbox) -> None:
        """Returns when our version of the preview server answers. Where it does not, it is put in and started.

        Raises ``Unavailable`` (PREVIEW_DOWN) where it never answers, and ``DiskFull``, ``SandboxLost``.
        """
        if await live.preview_answers(self._server.version):
            return
        await self._start_preview(live)
        wait = _FIRST_WAIT
        try:
            async with asyncio.timeout(self._limits.preview_timeout_seconds):
                while not await live.preview_answers(self._server.version):
                    await asyncio.sleep(wait)
                    wait = min(wait * 1.5, _LONGEST_WAIT)
        except TimeoutError as exc:
            raise Unavailable(
                "the sandbox's preview does not answer", reason="PREVIEW_DOWN", retry_after=2.0
            ) from exc

    async def _start_preview(self, live: VendorSandbox) -> None:
        """Whoever else does this meanwhile never sees half an archive; of servers of one version one stays."""
        archive, place = self._server.archive, aside_path()
        await live.write([Upload(place, Content(io.BytesIO(archive), len(archive)))])
        await live.rename(place, self._server.place)
        await live.start(self._server.command)

    async def _make(self, sandbox: Sandbox, vendor_ids: list[str]) -> Sandbox:
        live = None
        if sandbox.waking:
            live = await self._sleeping.wake(sandbox, self._limits.at_vendor(sandbox))
        if live is None:
            live = await self._new(sandbox, vendor_ids)
        else:
            await self.serve_preview(live)
        async with self._database.begin() as connection:
            made = await Repository(connection).activate(sandbox, live.url)
        if made is None:
            raise Superseded
        return made

    async def _new(self, sandbox: Sandbox, vendor_ids: list[str]) -> VendorSandbox:
        if sandbox.attempt > 1:
            await self._remove_leftovers(sandbox)
        live = await self._vendor.create(
            self._labels(sandbox),
            self._limits.at_vendor(sandbox),
            f"{sandbox.sandbox_id}-{sandbox.attempt}",
        )
        vendor_ids.append(live.vendor_id)
        async with self._database.begin() as connection:
            if not await Repository(connection).name(sandbox, live.vendor_id):
                raise Superseded
        # The server boots while the files arrive.
        async with _beside(self.serve_preview(live)):
            persistent = await self._projects.persistent(sandbox.project_id)
            async with self._database.begin() as connection:
                await LifeRepository(connection).learn_persistent(
                    sandbox.sandbox_id, persistent=persistent
                )
            await self._filling.fill(live, sandbox.project_id)
        return live

    async def _remove_leftovers(self, sandbox: Sandbox) -> None:
        """Whoever tried before may have got a sandbox and died before noting it."""
        for listed in await self._vendor.list(self._labels(sandbox)):
            await self._vendor.kill(listed.vendor_id)

    def _labels(self, sandbox: Sandbox) -> dict[str, str]:
        return {
            "sandwright_deployment": self._deployment,
            "sandwright_project": sandbox.project_id,
            "sandwright_sandbox": sandbox.sandbox_id,
        }

    @asynccontextmanager
    async def _renewing(self, sandbox: Sandbox) -> AsyncIterator[None]:
        """Inside of it everybody can see that the sandbox is still being made."""
        task = asyncio.create_task(self._renew(sandbox))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _renew(self, sandbox: Sandbox) -> None:
        seconds = self._limits.attempt_seconds
        while True:
            await asyncio.sleep(seconds / 3)
            try:
                async with self._database.begin() as connection:
                    await Repository(connection).renew(sandbox, seconds)
            except Exception as exc:  # noqa: BLE001 - tried again soon; the row itself tells who has been given up on
                _log.warning("not renewed", sandbox=sandbox.sandbox_id, error=type(exc).__name__)

    async def _clean_up(self, sandbox: Sandbox, vendor_ids: list[str]) -> None:
        """What can't be cleaned up now is found by the sweep."""
        try:
            async with self._database.begin() as connection:
                closed = await Repository(connection).close_attempt(sandbox)
                asleep = await LifeRepository(connection).sleep_on(
                    sandbox, forget_vendor=bool(vendor_ids)
                )
            for vendor_id in vendor_ids:
                await self._vendor.kill(vendor_id)
            if asleep is not None:
                await self._sleeping.after_parking(asleep, "not woken")
            elif closed is not None:
                await self._reports.tell(sandbox.project_id)
        except Exception as exc:  # noqa: BLE001 - the failure that led here is the one to be told
            _log.warning("left behind", sandbox=sandbox.sandbox_id, error=type(exc).__name__)


@asynccontextmanager
async def _beside(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Goes on at the same time, and is done where this ends without an error."""
    task = asyncio.create_task(work)
    try:
        yield
        await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextmanager
def _told() -> Iterator[None]:
    """A failed creation becomes what its caller is told."""
    try:
        yield
    except DiskFull as exc:
        raise QuotaExceeded(
            "the project's files don't fit into a sandbox", reason="SANDBOX_FULL"
        ) from exc
    except (SandboxLost, PathMissing, PathUnfit, TimeoutError) as exc:
        raise Unavailable(
            "the sandbox could not be made", reason="SANDBOX_FAILED", retry_after=2.0
        ) from exc
