"""Connections to the ports of sandboxes, some of them kept for the next request."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time

from local.sandboxes import errors
from local.sandboxes.model import State
from local.sandboxes.preview.dialling import Dialler
from local.sandboxes.preview.upstream import Upstream
from local.sandboxes.sandbox import Sandbox

_MAX_IDLE = 64  # of one port
_MAX_IDLE_SECONDS = 2.0
_YIELD_SECONDS, _YIELD_FOR_SECONDS = 0.05, 1.0
_MAX_DIALS = 4  # at once: a server's queue may be short, and a place in it costs a second to regain
_SWEEP_SECONDS = 0.5


class Line:
    """One port of one sandbox, and the connections to it."""

    def __init__(self, sandbox: Sandbox, port: int) -> None:
        self._sandbox = sandbox
        self.machine = sandbox.running
        self.port = port
        self.live: set[Upstream] = set()
        self._idle: dict[Upstream, float] = {}
        self._unheard: dict[Upstream, float] = {}
        self._yielding: asyncio.TimerHandle | None = None
        self.wanted = 0
        self.dialling = asyncio.Semaphore(_MAX_DIALS)

    @property
    def stands(self) -> bool:
        """Whether the sandbox runs, in the machine that the connections lead into."""
        sandbox = self._sandbox
        runs = sandbox.state is State.RUNNING and not sandbox.gone.is_set()
        return runs and sandbox.machine is self.machine

    def add(self, upstream: Upstream) -> None:
        """A new connection, about to be used."""
        self.live.add(upstream)
        self._unheard[upstream] = time.monotonic()

    def take(self) -> Upstream | None:
        """The connection that was used last, if one is idle."""
        return self._idle.popitem()[0] if self._idle else None

    def release(self, upstream: Upstream) -> None:
        """Keep a connection for another exchange, if it is worth it."""
        if len(self._idle) >= _MAX_IDLE or not self.stands:
            upstream.abort()
            return
        self._idle[upstream] = time.monotonic()
        if self._unheard and self._yielding is None:
            loop = asyncio.get_running_loop()
            self._yielding = loop.call_later(_YIELD_SECONDS, self._yield)

    def _yield(self) -> None:
        """A server that serves one connection at a time turns to the next when one is closed.

        One that says nothing for longer only takes its time.
        """
        self._yielding = None
        since = time.monotonic() - _YIELD_FOR_SECONDS
        self._unheard = {
            one: added for one, added in self._unheard.items() if added > since and not one.heard
        }
        if self._unheard and self._idle:
            self._idle.popitem()[0].abort()
            loop = asyncio.get_running_loop()
            self._yielding = loop.call_later(_YIELD_SECONDS, self._yield)

    def forget(self, upstream: Upstream) -> None:
        """A connection is gone."""
        self.live.discard(upstream)
        self._idle.pop(upstream, None)
        self._unheard.pop(upstream, None)

    def sweep(self, now: float) -> None:
        """Close what was idle for long, and all of a sandbox that does not run."""
        kept_from = now - _MAX_IDLE_SECONDS
        for upstream in [one for one, since in self._idle.items() if since < kept_from]:
            del self._idle[upstream]
            upstream.abort()
        if not self.stands:
            for upstream in tuple(self.live):
                upstream.cut()


class Lines:
    """All of them; none is ever shared between sandboxes."""

    def __init__(self, dialler: Dialler) -> None:
        self._dialler = dialler
        self._lines: dict[tuple[str, int], Line] = {}
        self._sweeping: asyncio.TimerHandle | None = None

    def idle(self, sandbox: Sandbox, port: int) -> Upstream | None:
        """A connection that stands; its server may close it before it reads what is sent."""
        line = self._lines.get((sandbox.sandbox_id, port))
        return line.take() if line is not None and line.machine is sandbox.machine else None

    async def connect(self, sandbox: Sandbox, port: int, *, fresh: bool) -> Upstream:
        """A connection, a new one if ``fresh``.

        Raises PortClosedError, and SandboxPausedError where it ceased to run meanwhile.
        """
        line = self._line(sandbox, port)
        line.wanted += 1
        try:
            while True:
                connection = await self._dialler.wait(line.machine, port)
                if connection is not None:
                    return await _upstream(line, connection)
                with contextlib.suppress(errors.PortClosedError):  # it was open a moment ago
                    return await self._another(line, fresh=fresh)
        finally:
            line.wanted -= 1

    async def _another(self, line: Line, *, fresh: bool) -> Upstream:
        async with line.dialling:
            kept = line.take()
            if kept is not None and not fresh:
                return kept
            if kept is not None:
                # A server that serves one connection at a time is still with that one.
                kept.abort()
            return await _upstream(line, await self._dialler.dial(line.machine, line.port))

    def _line(self, sandbox: Sandbox, port: int) -> Line:
        key = (sandbox.sandbox_id, port)
        line = self._lines.get(key)
        if line is None or line.machine is not sandbox.machine:
            line = self._lines[key] = Line(sandbox, port)
        if self._sweeping is None:
            loop = asyncio.get_running_loop()
            self._sweeping = loop.call_later(_SWEEP_SECONDS, self._sweep)
        return line

    def _sweep(self) -> None:
        now = time.monotonic()
        for key, line in tuple(self._lines.items()):
            line.sweep(now)
            if not line.live and not line.wanted:
                del self._lines[key]
        loop = asyncio.get_running_loop()
        self._sweeping = loop.call_later(_SWEEP_SECONDS, self._sweep) if self._lines else None


async def _upstream(line: Line, connection: socket.socket) -> Upstream:
    loop = asyncio.get_running_loop()
    try:
        _, upstream = await loop.create_connection(lambda: Upstream(line), sock=connection)
    except BaseException:
        connection.close()
        raise
    line.add(upstream)
    return upstream
