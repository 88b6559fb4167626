"""A worker's hold on a generation: renewed while it works, and the way in which it is told to stop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum, auto

import structlog
from sqlalchemy.exc import SQLAlchemyError

from kit.db import Database
from kit.db.listen import Listener, wait
from services.generation.model import Job
from services.generation.repository import Queue
from services.generation.repository.queue import Orders
from services.generation.repository.wakeups import QUEUE, notify, orders_for

_log = structlog.get_logger(__name__)


class Stop(Enum):
    """Why a worker stops before the work is done."""

    CANCELLED = auto()
    """The user, or the end of the project, wants it to end."""
    LOST = auto()
    """The generation is somebody else's, or may be."""
    DRAINING = auto()
    """This process ends; another one goes on at once."""


class Lease:
    """The hold on one generation."""

    def __init__(
        self, database: Database, listener: Listener, job: Job, seconds: float, renew_seconds: float
    ) -> None:
        """``seconds`` from each renewal on; the claim counts as one."""
        self._database = database
        self._listener = listener
        self._id, self._epoch = job.generation_id, job.epoch
        self._seconds, self._renew_seconds = seconds, renew_seconds
        self._stop: asyncio.Future[Stop] = asyncio.get_running_loop().create_future()
        self._renewed_at = time.monotonic()

    def stop(self, why: Stop) -> None:
        """Tells the work to stop. The first reason counts, but a lost lease overrides nothing that is written: all
        writes are fenced.
        """
        if not self._stop.done():
            self._stop.set_result(why)

    async def stopped(self) -> Stop:
        """Waits until the work must stop."""
        return await asyncio.shield(self._stop)

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Renews while the block runs."""
        keeper = asyncio.create_task(self._keep())
        try:
            yield
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
            self._stop.cancel()

    async def give_back(self) -> None:
        """Lets another worker go on at once."""
        async with self._database.begin() as connection:
            await Queue(connection).give_back(self._id, self._epoch)
            await notify(connection, QUEUE)

    async def _keep(self) -> None:
        async with self._listener.wakeups(orders_for(self._id)) as woken:
            while True:
                try:
                    orders = await self._renew()
                except (SQLAlchemyError, OSError) as exc:
                    _log.warning("lease not renewed", error=type(exc).__name__)
                    if time.monotonic() - self._renewed_at >= self._seconds:
                        self.stop(Stop.LOST)
                else:
                    self._obey(orders)
                await wait(woken, self._renew_seconds)

    async def _renew(self) -> Orders | None:
        begun = time.monotonic()
        # A database that went silent, behind a network that is cut, gives no error for many minutes.
        async with (
            asyncio.timeout(self._seconds - (begun - self._renewed_at)),
            self._database.begin() as connection,
        ):
            orders = await Queue(connection).renew(self._id, self._epoch, self._seconds)
        self._renewed_at = begun
        return orders

    def _obey(self, orders: Orders | None) -> None:
        if orders is None:
            self.stop(Stop.LOST)
        elif orders.cancel or orders.deleted:
            self.stop(Stop.CANCELLED)
