"""Warm machines: a create takes one and never waits for the next to be made."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

import structlog

from local.sandboxes.errors import EngineError
from local.sandboxes.machine import Machine
from local.sandboxes.machines import Machines
from local.sandboxes.templates import Template

log = structlog.get_logger(__name__)

# A refill competes with the first request to the sandbox that has just been given away.
_REST_SECONDS = 0.3
_AFTER_FAILURE_SECONDS = 5.0
_CLOSED = "the engine stops"


class Pool:
    """Keeps ``size`` machines of one template that are ready and belong to nobody yet."""

    def __init__(self, machines: Machines, template: Template, size: int) -> None:
        self._machines = machines
        self._size = size
        self._warm: deque[Machine] = deque()
        self._filling: asyncio.Task[None] | None = None
        self._endings: set[asyncio.Task[None]] = set()
        self._closed = False
        self.template = template

    def start(self) -> None:
        """Begin to fill."""
        self._refill(0)

    async def take(self) -> Machine:
        """A warm machine if there is one, else a new one; raises what ``Machines.make`` does."""
        while self._warm:
            machine = self._warm.popleft()
            if machine.alive:
                machine.jail.on_ended = lambda _: None
                self._refill(_REST_SECONDS)
                return machine
            self._discard(machine)
        self._refill(_REST_SECONDS)
        return await self._machines.make(self.template)

    def _refill(self, delay: float) -> None:
        if self._closed or len(self._warm) >= self._size:
            return
        if self._filling is None or self._filling.done():
            self._filling = asyncio.create_task(self._fill(delay))

    async def _fill(self, delay: float) -> None:
        while not self._closed and len(self._warm) < self._size:
            await asyncio.sleep(delay)
            try:
                machine = await self._machines.make(self.template)
            except EngineError as exc:
                log.warning("cannot warm a sandbox", template=self.template.name, why=exc.message)
                delay = _AFTER_FAILURE_SECONDS
            except Exception:
                log.exception("cannot warm a sandbox", template=self.template.name)
                delay = _AFTER_FAILURE_SECONDS
            else:
                delay = 0
                machine.jail.on_ended = self._lost
                self._warm.append(machine)
                self._drop_the_dead()

    def _lost(self, why: str) -> None:
        """A jail in the pool ended by itself: it has to be replaced before somebody asks."""
        log.warning("lost a warm sandbox", template=self.template.name, why=why)
        self._drop_the_dead()
        self._refill(_REST_SECONDS)

    def _drop_the_dead(self) -> None:
        for machine in [one for one in self._warm if not one.alive]:
            self._warm.remove(machine)
            self._discard(machine)

    def _discard(self, machine: Machine) -> None:
        machine.jail.on_ended = lambda _: None
        ending = asyncio.get_running_loop().create_task(self._machines.end(machine, _CLOSED))
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)

    async def close(self) -> None:
        """Stop filling and end the warm machines."""
        self._closed = True
        if self._filling is not None:
            self._filling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._filling
        while self._warm:
            self._discard(self._warm.pop())
        await asyncio.gather(*self._endings, return_exceptions=True)
