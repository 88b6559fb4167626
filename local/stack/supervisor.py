"""Starts the whole plan, keeps it alive and stops it in order."""

from __future__ import annotations

import asyncio
from itertools import groupby

from local.stack.child import Child, Say
from local.stack.plan import Process
from local.stack.ready import wait_ready

READY_SECONDS = 90.0
STOP_SECONDS = 15.0


class NotReady(Exception):
    """A process does not answer; the text says which."""


class Supervisor:
    """All processes of a plan."""

    def __init__(self, processes: list[Process], say: Say) -> None:
        """``say`` takes every line that a process, or the supervisor itself, has to say."""
        self.children = {process.name: Child(process, say) for process in processes}
        self._say = say
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Starts all at once and waits until each answers. Raises ``BadSetting`` or ``NotReady``."""
        self._tasks = [
            asyncio.create_task(child.keep_running(), name=name)
            for name, child in self.children.items()
        ]
        ready = asyncio.create_task(self._all_ready())
        try:
            await asyncio.wait([ready, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
            self._raise_failed()
            await ready
        finally:
            ready.cancel()

    async def wait(self) -> None:
        """Returns never; raises what ends a process for good."""
        await asyncio.wait(self._tasks, return_when=asyncio.FIRST_EXCEPTION)
        self._raise_failed()

    async def stop(self) -> None:
        """Ends all processes, tier by tier: whoever calls others goes first."""
        children = sorted(self.children.values(), key=lambda c: -c.process.tier)
        for _, tier in groupby(children, key=lambda c: c.process.tier):
            await asyncio.gather(*(child.stop(STOP_SECONDS) for child in tier))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def kill(self) -> None:
        """Ends all processes at once."""
        for child in self.children.values():
            child.kill()

    async def _all_ready(self) -> None:
        await asyncio.gather(*(self._ready(child.process) for child in self.children.values()))

    async def _ready(self, process: Process) -> None:
        if not await wait_ready(process, READY_SECONDS):
            raise NotReady(f"{process.name} does not answer on port {process.port}")
        self.children[process.name].was_ready = True

    def _raise_failed(self) -> None:
        for task in self._tasks:
            if task.done() and not task.cancelled() and (error := task.exception()):
                raise error
