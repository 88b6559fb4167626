"""Pausing and resuming: frozen in memory, or with the files alone on the engine's disk."""

from __future__ import annotations

import asyncio
import time

import structlog

from local.sandboxes import errors
from local.sandboxes.captures import Captures
from local.sandboxes.machine import Machine
from local.sandboxes.machines import Machines
from local.sandboxes.model import OnTimeout, State
from local.sandboxes.parking import Parking
from local.sandboxes.sandbox import Sandbox
from local.sandboxes.spawner.cgroups import Cgroups

log = structlog.get_logger(__name__)

_PAUSED = "the sandbox was paused"
_PARKED_AT_ONCE = 4
# What could not be put away in its last moment runs a little longer: somebody has to decide about it.
_GRACE_SECONDS = 5.0
_TIMER_SECONDS = 0.1  # by so little a timer may be early


class Pauses:
    """Each call holds the sandbox's ``changing``."""

    def __init__(
        self, machines: Machines, groups: Cgroups, captures: Captures, parking: Parking
    ) -> None:
        self._machines = machines
        self._groups = groups
        self._captures = captures
        self._parking = parking

    async def pause(self, sandbox: Sandbox, *, memory: bool, at_its_end: bool = False) -> None:
        """Stop a sandbox until somebody connects to it.

        ``at_its_end``: not if it has got more time meanwhile. Raises ConflictError when it is paused,
        UnsupportedError where the kernel can't freeze.
        """
        async with sandbox.changing:
            if at_its_end and sandbox.seconds_left > _TIMER_SECONDS:
                return
            if sandbox.state is State.PAUSED:
                raise errors.ConflictError(f"Sandbox {sandbox.sandbox_id} is already paused")
            if memory:
                self._freeze(sandbox)
            else:
                await self._park(sandbox, sandbox.running)
        log.info("sandbox paused", sandbox=sandbox.sandbox_id, memory=memory)

    async def resume(
        self, sandbox: Sandbox, seconds: float | None, *, reboot: bool = False
    ) -> bool:
        """Run a sandbox again for so many seconds, None for what it has left; False for one that runs.

        ``reboot``: from its files alone, though its memory was kept. Raises what making a machine does.
        """
        async with sandbox.changing:
            if sandbox.gone.is_set():
                raise errors.SandboxNotFoundError(sandbox.sandbox_id)
            if sandbox.state is State.RUNNING and sandbox.machine is not None:
                return False
            if sandbox.machine is not None:
                self._groups.freeze(sandbox.machine.jail.name, frozen=False)
                if reboot:
                    await self._park(sandbox, sandbox.machine)
            if sandbox.machine is not None:
                sandbox.resumed(sandbox.seconds_left if seconds is None else seconds)
            else:
                await self._boot(sandbox, seconds)
        log.info("sandbox resumed", sandbox=sandbox.sandbox_id, timeout=sandbox.seconds_left)
        return True

    async def keep_all(self, sandboxes: list[Sandbox], seconds: float) -> None:
        """Put what can be put to disk within so many seconds, so that it outlives the engine."""
        turns = asyncio.Semaphore(_PARKED_AT_ONCE)

        async def keep(sandbox: Sandbox) -> None:
            async with turns, sandbox.changing:
                if sandbox.machine is not None and not sandbox.gone.is_set():
                    await self._keep(sandbox, sandbox.machine)

        tasks = {asyncio.create_task(keep(one)): one for one in sandboxes if seconds > 0}
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        for task, sandbox in tasks.items():
            if task.cancelled():
                log.warning("not kept: no time was left", sandbox=sandbox.sandbox_id)
            elif (error := task.exception()) is not None:
                log.warning("not kept", sandbox=sandbox.sandbox_id, why=str(error))

    async def _keep(self, sandbox: Sandbox, machine: Machine) -> None:
        if sandbox.state is State.PAUSED:
            self._groups.freeze(machine.jail.name, frozen=False)
            await self._park(sandbox, machine)
            return
        # One that pauses at its end has not lost anything when the end came meanwhile.
        ends = sandbox.order.on_timeout is OnTimeout.KILL
        ends_at = time.time() + sandbox.seconds_left if ends else None
        await self._park(sandbox, machine, interrupted=True, ends_at=ends_at)

    def _freeze(self, sandbox: Sandbox) -> None:
        if not self._groups.freeze(sandbox.running.jail.name, frozen=True):
            raise errors.UnsupportedError("pausing needs a writable control group with a freezer")
        sandbox.paused(_PAUSED)

    async def _park(
        self,
        sandbox: Sandbox,
        machine: Machine,
        *,
        interrupted: bool = False,
        ends_at: float | None = None,
    ) -> None:
        """From its machine to the disk. When that fails, a sandbox that ran runs on."""
        ran, left = sandbox.state is State.RUNNING, sandbox.seconds_left
        sandbox.paused(_PAUSED)  # who asks from now on is not let in
        try:
            await self._captures.capture(machine, self._parking.tree(sandbox.sandbox_id))
            if sandbox.gone.is_set():
                raise errors.SandboxNotFoundError(sandbox.sandbox_id)
            self._parking.put(sandbox, interrupted=interrupted, ends_at=ends_at)
        except BaseException:
            self._parking.drop(sandbox.sandbox_id)
            if not sandbox.gone.is_set():
                self._run_on(sandbox, machine, max(left, _GRACE_SECONDS) if ran else None)
            raise
        sandbox.machine = None
        await asyncio.shield(self._machines.end(machine, _PAUSED))

    def _run_on(self, sandbox: Sandbox, machine: Machine, seconds: float | None) -> None:
        if seconds is not None:
            sandbox.resumed(seconds)
        else:
            self._groups.freeze(machine.jail.name, frozen=True)

    async def _boot(self, sandbox: Sandbox, seconds: float | None) -> None:
        """From the disk into a machine of its own."""
        tree = self._parking.tree(sandbox.sandbox_id)
        machine = await self._machines.make(sandbox.template, sandbox.sandbox_id, tree, sandbox.log)
        if sandbox.gone.is_set():
            await self._machines.end(machine, _PAUSED)
            raise errors.SandboxNotFoundError(sandbox.sandbox_id)
        if machine.jail.ended.is_set():
            raise errors.UnavailableError("the sandbox ended as soon as it was resumed")
        sandbox.begin(machine, sandbox.seconds_left if seconds is None else seconds)
        # What the sandbox does from here on is not in those files: they are not to come back.
        self._parking.drop(sandbox.sandbox_id)
