"""Warm jails: a create takes one and never waits for the next to be made."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

import structlog

from local.sandboxes.errors import UnavailableError
from local.sandboxes.jail import Jail, Jailer
from local.sandboxes.model import new_id

log = structlog.get_logger(__name__)

# A refill competes with the first request to the sandbox that has just been given away.
_REST_SECONDS = 0.3
_AFTER_FAILURE_SECONDS = 5.0


class Pool:
    """Keeps ``size`` jails booted that belong to nobody yet."""

    def __init__(self, jailer: Jailer, size: int) -> None:
        self._jailer = jailer
        self._size = size
        self._warm: deque[Jail] = deque()
        self._filling: asyncio.Task[None] | None = None
        self._closed = False

    def start(self) -> None:
        """Begin to fill."""
        self._refill(0)

    async def take(self) -> Jail:
        """A warm jail if there is one, else a new one."""
        while self._warm:
            jail = self._warm.popleft()
            if jail.alive:
                self._refill(_REST_SECONDS)
                return jail
        self._refill(_REST_SECONDS)
        return await self._jailer.boot(new_id())

    def _refill(self, delay: float) -> None:
        if self._closed or len(self._warm) >= self._size:
            return
        if self._filling is None or self._filling.done():
            self._filling = asyncio.create_task(self._fill(delay))

    async def _fill(self, delay: float) -> None:
        while not self._closed and len(self._warm) < self._size:
            await asyncio.sleep(delay)
            try:
                self._warm.append(await self._jailer.boot(new_id()))
                delay = 0
            except UnavailableError as exc:
                log.warning("cannot warm a jail", why=exc.message)
                delay = _AFTER_FAILURE_SECONDS
            self._warm = deque(jail for jail in self._warm if jail.alive)

    async def close(self) -> None:
        """Stop filling and end the warm jails."""
        self._closed = True
        if self._filling is not None:
            self._filling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._filling
        await asyncio.gather(*(self._jailer.end(jail) for jail in self._warm))
        self._warm.clear()
