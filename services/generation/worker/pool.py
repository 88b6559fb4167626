"""Claims generations while there is room, and lets go of them when the process ends."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from datetime import timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from kit.db.listen import wait
from services.generation.model import Job
from services.generation.repository import Jobs, Leftovers, Queue
from services.generation.repository.wakeups import QUEUE
from services.generation.service.positions import tell_positions
from services.generation.worker.lease import Stop
from services.generation.worker.surroundings import Surroundings
from services.generation.worker.worker import Worker

_log = structlog.get_logger(__name__)
_PURGE_SECONDS = 30.0


class Pool:
    """This process's workers."""

    def __init__(self, around: Surroundings) -> None:
        """``around`` is what each of them works with."""
        self._around = around
        self._settings = around.settings
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._working: dict[asyncio.Task[None], Worker] = {}
        self._purged_at = 0.0

    async def run(self, stopping: asyncio.Event) -> None:
        """Works until ``stopping`` is set; what is under way then is given back for others to go on with."""
        async with self._around.listener.wakeups(QUEUE) as woken:
            alarm = asyncio.create_task(_pass_on(stopping, woken))
            try:
                while not stopping.is_set():
                    if not await self._take_one(woken):
                        await wait(woken, self._settings.poll_seconds)
                await self._drain()
            finally:
                alarm.cancel()
                await self._abandon()

    async def _take_one(self, woken: asyncio.Event) -> bool:
        """Whether it found something to work on."""
        if len(self._working) >= self._settings.workers:
            return False
        try:
            await self._purge()
            job = await self._claim()
        except (SQLAlchemyError, OSError) as exc:
            _log.warning("the queue is out of reach", error=type(exc).__name__)
            return False
        if job is None:
            return False
        worker = Worker(self._around, job)
        task = asyncio.create_task(worker.work())
        self._working[task] = worker
        task.add_done_callback(lambda done: self._done(done, woken))
        if job.epoch == 1:
            await tell_positions(self._around.database, job.owner_id)
        return True

    async def _claim(self) -> Job | None:
        settings = self._settings
        async with self._around.database.begin() as connection:
            return await Queue(connection).claim(
                self._name, settings.lease_seconds, settings.max_running_per_user
            )

    async def _purge(self) -> None:
        """Rows of deleted projects go once their generations have ended, and later what the others' work needed."""
        if time.monotonic() - self._purged_at < _PURGE_SECONDS:
            return
        self._purged_at = time.monotonic()
        async with self._around.database.begin() as connection:
            await Jobs(connection).purge()
        async with self._around.database.begin() as connection:
            await Leftovers(connection).forget_older(timedelta(days=self._settings.keep_work_days))

    def _done(self, task: asyncio.Task[None], woken: asyncio.Event) -> None:
        self._working.pop(task, None)
        if not task.cancelled() and (exc := task.exception()):
            _log.error("a worker failed", exc_info=exc)
        woken.set()

    async def _drain(self) -> None:
        for worker in self._working.values():
            worker.lease.stop(Stop.DRAINING)
        if self._working:
            await asyncio.wait(list(self._working))

    async def _abandon(self) -> None:
        """Without giving anything back: the leases run out by themselves."""
        tasks = list(self._working)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pass_on(stopping: asyncio.Event, woken: asyncio.Event) -> None:
    await stopping.wait()
    woken.set()
