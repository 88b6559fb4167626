"""Now and then: what has expired is closed, what has vanished is noted, what nobody knows is ended, and what could
not be told is told."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from kit.context import acting_for
from kit.db import Database
from services.sandbox.model import Sandbox, Status
from services.sandbox.repository import Repository
from services.sandbox.service.lifecycle import Lifecycle
from services.sandbox.service.reports import Reports
from services.sandbox.service.writing import Writing
from services.sandbox.vendor import Listed, SandboxVendor

_log = structlog.get_logger(__name__)
_OLD_DAYS = 30


class Sweep:
    """Any replica may sweep, at any time, beside others."""

    def __init__(
        self,
        database: Database,
        vendor: SandboxVendor,
        lifecycle: Lifecycle,
        reports: Reports,
        writing: Writing,
        deployment: str,
    ) -> None:
        """``deployment``: only sandboxes with this label are looked at."""
        self._database = database
        self._vendor = vendor
        self._lifecycle = lifecycle
        self._reports = reports
        self._writing = writing
        self._labels = {"sandwright_deployment": deployment}

    async def run(self, seconds: float, stopping: asyncio.Event) -> None:
        """Sweeps at once and then every so many seconds, until the server stops."""
        while not stopping.is_set():
            await self.once()
            # Replicas that started together need not sweep together.
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), seconds * random.uniform(0.9, 1.1))  # noqa: S311 - no secret

    async def once(self) -> None:
        """One sweep."""
        parts: list[Callable[[], Awaitable[None]]] = [
            self._close_expired,
            self._close_abandoned,
            self._reconcile,
            self._align_unsettled,
            self._reports.retry,
            self._forget_old,
        ]
        for part in parts:
            await _tried(part.__name__, part())

    async def _close_expired(self) -> None:
        async with self._database.begin() as connection:
            closed = await Repository(connection).close_expired()
        for sandbox in closed:
            await self._lifecycle.after_closing(sandbox)

    async def _close_abandoned(self) -> None:
        async with self._database.begin() as connection:
            closed = await Repository(connection).close_abandoned()
        for sandbox in closed:
            await self._lifecycle.after_closing(sandbox)

    async def _reconcile(self) -> None:
        """Compares the vendor's list with the rows, both ways."""
        # The order matters: a row is older than its sandbox, so what was listed after the rows were read has a
        # row by the time they are read again, or never had one.
        async with self._database.begin() as connection:
            expected = await Repository(connection).all_running()
        listed = await self._vendor.list(self._labels)
        names = {one.labels.get("sandwright_sandbox", "") for one in listed}
        async with self._database.begin() as connection:
            rows = await Repository(connection).by_ids(names)
        for one in listed:
            if _unknown(one, rows):
                await _tried("end", self._end_unknown(one))
        present = {one.vendor_id for one in listed}
        for sandbox in expected:
            if sandbox.vendor_id not in present and not await self._vendor.exists(
                sandbox.vendor_id
            ):
                await self._lifecycle.lost(sandbox)

    async def _end_unknown(self, one: Listed) -> None:
        _log.warning(
            "unknown sandbox ended",
            vendor_sandbox=one.vendor_id,
            sandbox=one.labels.get("sandwright_sandbox", ""),
        )
        await self._vendor.kill(one.vendor_id)

    async def _align_unsettled(self) -> None:
        """A write that did not come to an end, and no other came after it."""
        async with self._database.begin() as connection:
            found = await Repository(connection).all_unsettled()
        for sandbox in found:
            with acting_for(sandbox.owner_id, "sandbox"):
                await _tried("align", self._writing.align(sandbox.project_id, sandbox.owner_id))

    async def _forget_old(self) -> None:
        async with self._database.begin() as connection:
            await Repository(connection).forget_old(_OLD_DAYS)


async def _tried(what: str, work: Awaitable[None]) -> None:
    """One failure is told, and does not keep the others from their turn."""
    try:
        await work
    except Exception as exc:  # noqa: BLE001 - tried again by the next sweep
        _log.warning("sweep failed in part", part=what, exc_info=exc)


def _unknown(one: Listed, rows: dict[str, Sandbox]) -> bool:
    row = rows.get(one.labels.get("sandwright_sandbox", ""))
    if row is None or row.status is Status.CLOSED:
        return True
    # While a sandbox is being made its creator may not have noted the vendor's id yet.
    return row.status is not Status.CREATING and row.vendor_id != one.vendor_id
