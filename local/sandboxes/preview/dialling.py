"""The way from a request to a connection inside a sandbox."""

from __future__ import annotations

import asyncio
import hmac
import socket
import time
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from local.sandboxes import errors
from local.sandboxes.engine import Engine
from local.sandboxes.machine import Machine
from local.sandboxes.model import State
from local.sandboxes.sandbox import Sandbox

_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.1
_FIRST_PATIENCE, _LONGEST_PATIENCE = 0.1, 2.0
_DIAL_SECONDS = 10.0


@dataclass
class _Ports:
    """What is known of the ports of one machine: those that were open, those being waited for."""

    open: set[int] = field(default_factory=set)
    waits: dict[int, asyncio.Task[socket.socket]] = field(default_factory=dict)


class Dialler:
    """Connects to ports; ``port_wait`` is how many seconds a server gets to open its own."""

    def __init__(self, engine: Engine, port_wait: float) -> None:
        self._engine = engine
        self._port_wait = port_wait
        self._ports: WeakKeyDictionary[Machine, _Ports] = WeakKeyDictionary()

    def at_hand(self, sandbox_id: str, token: str) -> Sandbox | None:
        """The sandbox, if it runs and its traffic is open to who holds ``token``; never waits."""
        try:
            sandbox = self._engine.get(sandbox_id)
        except errors.SandboxNotFoundError:
            return None
        runs = sandbox.state is State.RUNNING and sandbox.machine is not None
        return sandbox if runs and _may(sandbox, token) else None

    async def admit(self, sandbox_id: str, token: str) -> Sandbox:
        """The sandbox, woken if it wakes by itself, if its traffic is open to who holds ``token``.

        Raises SandboxNotFoundError, SandboxPausedError, PermissionDeniedError, and what waking does.
        """
        # Who may not use a sandbox must not wake it either.
        if not _may(self._engine.get(sandbox_id), token):
            raise errors.PermissionDeniedError("the traffic access token is missing or wrong")
        return await self._engine.wake(sandbox_id)

    def state(self, sandbox_id: str) -> State | None:
        """What a sandbox is doing; None for one that is not there."""
        try:
            return self._engine.get(sandbox_id).state
        except errors.SandboxNotFoundError:
            return None

    async def wait(self, machine: Machine, port: int) -> socket.socket | None:
        """Wait until a server listens; raises PortClosedError when none does in time.

        However many wait, one of them asks, and is answered the connection that it has got.
        """
        ports = self._ports.setdefault(machine, _Ports())
        if port in ports.open:
            return None
        wait = ports.waits.get(port)
        if wait is None:
            return await self._first(machine, ports, port)
        await asyncio.wait([wait])
        if port not in ports.open:
            raise errors.PortClosedError(f"port {port} is not open")
        return None

    async def dial(self, machine: Machine, port: int) -> socket.socket:
        """A connection to a port that was open; raises PortClosedError when it is so no longer."""
        try:
            return await self._once(machine, port)
        except errors.PortClosedError:
            self._ports.setdefault(machine, _Ports()).open.discard(port)
            raise

    async def _first(self, machine: Machine, ports: _Ports, port: int) -> socket.socket:
        """Wait in the name of all: that goes on when the one that began it goes away."""
        wait = asyncio.get_running_loop().create_task(self._until_open(machine, port))
        ports.waits[port] = wait
        wait.add_done_callback(lambda _: _settle(ports, port, wait))
        try:
            return await asyncio.shield(wait)
        except asyncio.CancelledError:
            wait.add_done_callback(_close_unused)
            raise

    async def _until_open(self, machine: Machine, port: int) -> socket.socket:
        deadline = time.monotonic() + self._port_wait
        pause = _FIRST_PAUSE
        while True:
            try:
                return await self._once(machine, port)
            except errors.PortClosedError:
                # Without a running command nobody is about to open the port.
                if time.monotonic() + pause > deadline or not machine.processes.running():
                    raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _once(self, machine: Machine, port: int) -> socket.socket:
        """A connection, begun anew when it does not stand soon: a server whose queue is full drops
        what asks to be let in, and the kernel asks again after a second only."""
        patience = _FIRST_PATIENCE
        deadline = time.monotonic() + _DIAL_SECONDS
        while True:
            try:
                async with asyncio.timeout(patience):
                    return await machine.dial(port)
            except TimeoutError as exc:
                if time.monotonic() > deadline:
                    raise errors.PortClosedError(f"port {port} does not answer") from exc
            patience = min(patience * 2, _LONGEST_PATIENCE)


def _may(sandbox: Sandbox, token: str) -> bool:
    return not sandbox.order.private_traffic or hmac.compare_digest(
        token.encode(), sandbox.identity.traffic_token.encode()
    )


def _settle(ports: _Ports, port: int, wait: asyncio.Task[socket.socket]) -> None:
    del ports.waits[port]
    if not wait.cancelled() and wait.exception() is None:
        ports.open.add(port)


def _close_unused(wait: asyncio.Task[socket.socket]) -> None:
    if not wait.cancelled() and wait.exception() is None:
        wait.result().close()
