"""One sandbox: what was ordered, the machine that it runs in, and when it ends."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from local.sandboxes import errors
from local.sandboxes.files import Files
from local.sandboxes.logs import Level, Log
from local.sandboxes.machine import Machine
from local.sandboxes.model import Identity, Order, State
from local.sandboxes.processes import Processes
from local.sandboxes.templates import Template
from local.sandboxes.watches import Watches


@dataclass
class _Deadline:
    at: float
    moment: datetime
    timer: asyncio.TimerHandle


class Sandbox:
    """Lives from create to kill; ``on_deadline`` is called when its time is up.

    ``machine`` is None while its files lie on the disk: it is paused, or was interrupted when the
    engine stopped and runs again when it is used. ``changing`` is held by who pauses, resumes or
    copies it, so that one of them goes on at a time. ``on_lost`` hears why its machine ended.
    """

    def __init__(
        self,
        identity: Identity,
        order: Order,
        template: Template,
        on_deadline: Callable[[Sandbox], None],
        on_lost: Callable[[Sandbox, str], None],
    ) -> None:
        self.identity = identity
        self.order = order
        self.template = template
        self.machine: Machine | None = None
        self.log = Log()
        self.state = State.PAUSED
        self.changing = asyncio.Lock()
        self.gone = asyncio.Event()
        self._on_deadline = on_deadline
        self._on_lost = on_lost
        self._deadline: _Deadline | None = None

    @property
    def sandbox_id(self) -> str:
        return self.identity.sandbox_id

    @property
    def running(self) -> Machine:
        """Its machine; raises SandboxPausedError while it has none, SandboxNotFoundError in the end."""
        if self.gone.is_set():
            raise errors.SandboxNotFoundError(self.sandbox_id)
        if self.machine is None:
            raise errors.SandboxPausedError(self.sandbox_id)
        return self.machine

    @property
    def files(self) -> Files:
        return self.running.files

    @property
    def processes(self) -> Processes:
        return self.running.processes

    @property
    def watches(self) -> Watches:
        return self.running.watches

    async def dial(self, port: int) -> socket.socket:
        """A connection to a port inside; raises PortClosedError when nothing listens."""
        return await self.running.dial(port)

    @property
    def ends_at(self) -> datetime:
        """When its time is up; now for one that has no end while it is paused."""
        return self._deadline.moment if self._deadline else datetime.now(UTC)

    @property
    def seconds_left(self) -> float:
        return max(0.0, self._deadline.at - time.monotonic()) if self._deadline else 0.0

    @property
    def wakes(self) -> bool:
        """Whether a request makes it run. What was paused to disk waits for a connect."""
        if self.machine is None:
            return self.state is State.RUNNING
        return self.state is State.PAUSED and self.order.auto_resume

    def set_timeout(self, seconds: float) -> None:
        """End ``seconds`` from now."""
        self._forget_deadline()
        timer = asyncio.get_running_loop().call_later(seconds, self._on_deadline, self)
        moment = datetime.now(UTC) + timedelta(seconds=seconds)
        self._deadline = _Deadline(time.monotonic() + seconds, moment, timer)

    def begin(self, machine: Machine, seconds: float) -> None:
        """Run in ``machine``, for so many seconds."""
        machine.template_id = self.order.template
        machine.envs = self.order.envs
        machine.jail.on_ended = lambda why: self._machine_ended(machine, why)
        self.machine = machine
        self.log = machine.log
        self.resumed(seconds)

    def paused(self, why: str) -> None:
        """It no longer runs: its time stands still, and its streams end; its commands stay."""
        self.state = State.PAUSED
        self.note("paused")
        self._forget_deadline()
        if self.machine is not None:
            self.machine.cut_off(why)

    def resumed(self, seconds: float) -> None:
        """It runs again, for so many seconds."""
        self.state = State.RUNNING
        self.note(f"runs for {seconds:g} s")
        self.set_timeout(seconds)

    def interrupted(self, seconds: float) -> None:
        """It ran when the engine stopped, and has so many seconds left."""
        self.state = State.RUNNING
        self.set_timeout(seconds)

    def note(self, message: str) -> None:
        """A line of its own in its log."""
        self.log.add(Level.INFO, f"sandbox {message}", logger="sandbox")

    def close(self, why: str) -> None:
        """Cut off whoever uses it; the machine is the engine's to end."""
        self._forget_deadline()
        self.gone.set()
        if self.machine is not None:
            self.machine.close(why)

    def _machine_ended(self, machine: Machine, why: str) -> None:
        if self.machine is machine:
            self._on_lost(self, why)

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.timer.cancel()
            self._deadline = None
