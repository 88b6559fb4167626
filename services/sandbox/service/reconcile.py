"""Comparing the vendor's list of sandboxes with our rows, both ways."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import asdict, dataclass

import structlog

from kit.db import Database
from services.sandbox.life_repository import LifeRepository
from services.sandbox.model import Sandbox, Status
from services.sandbox.repository import Repository
from services.sandbox.service.lifecycle import Lifecycle
from services.sandbox.service.sleeping import Sleeping
from services.sandbox.vendor import Listed, SandboxVendor, VendorState

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Counts:
    """What one sweep did."""

    closed: int = 0
    """Their time was over, or nobody made them to their end."""
    paused: int = 0
    lost: int = 0
    """The vendor had them no more."""
    orphans: int = 0
    """The vendor had them, and no row did."""
    aligned: int = 0
    reports: int = 0
    """Reports that were sent at last."""

    def as_fields(self) -> dict[str, int]:
        """By name, for the log."""
        return asdict(self)


class Reconcile:
    """Finds sandboxes that nobody knows, and rows whose sandboxes are gone or do something else."""

    def __init__(
        self,
        database: Database,
        vendor: SandboxVendor,
        lifecycle: Lifecycle,
        sleeping: Sleeping,
        deployment: str,
    ) -> None:
        """``deployment``: only sandboxes with this label are looked at."""
        self._database = database
        self._vendor = vendor
        self._lifecycle = lifecycle
        self._sleeping = sleeping
        self._labels = {"sandwright_deployment": deployment}

    async def once(self, counts: Counts) -> None:
        """Compares all."""
        # The order matters: a row is older than its sandbox, so what was listed after the rows were read has a
        # row by the time they are read again, or never had one.
        async with self._database.begin() as connection:
            expected = await Repository(connection).all_kept()
        listed = await self._vendor.list(self._labels)
        names = {one.labels.get("sandwright_sandbox", "") for one in listed}
        async with self._database.begin() as connection:
            rows = await Repository(connection).by_ids(names)
        for one in listed:
            if _unknown(one, rows):
                await tried("end", self._end_unknown(one, counts))
        present = {one.vendor_id: one for one in listed}
        for sandbox in expected:
            await tried("compare", self._compare(sandbox, present.get(sandbox.vendor_id), counts))

    async def _compare(self, sandbox: Sandbox, listed: Listed | None, counts: Counts) -> None:
        asleep = sandbox.status is Status.PAUSED
        if listed is not None and listed.paused == asleep:
            return
        # A list may be older than what happened since.
        state = await self._vendor.state(sandbox.vendor_id)
        if asleep and state is VendorState.GONE:
            await self._forget(sandbox)
            counts.lost += 1
        elif asleep and state is VendorState.RUNNING:
            _log.warning("paused again", sandbox=sandbox.sandbox_id)
            await self._sleeping.put_to_sleep(sandbox)
            counts.paused += 1
        elif not asleep and state is VendorState.PAUSED:
            await self._lifecycle.lost(sandbox)
            counts.paused += 1
        elif not asleep and state is VendorState.GONE:
            await self._lifecycle.lost(sandbox)
            counts.lost += 1

    async def _forget(self, sandbox: Sandbox) -> None:
        """It sleeps on in the store alone."""
        _log.warning("lost while it slept", sandbox=sandbox.sandbox_id)
        async with self._database.begin() as connection:
            await LifeRepository(connection).forget_vendor(sandbox)

    async def _end_unknown(self, one: Listed, counts: Counts) -> None:
        _log.warning(
            "unknown sandbox ended",
            vendor_sandbox=one.vendor_id,
            sandbox=one.labels.get("sandwright_sandbox", ""),
        )
        await self._vendor.kill(one.vendor_id)
        counts.orphans += 1


async def tried(what: str, work: Awaitable[None]) -> None:
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
