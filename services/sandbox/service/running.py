"""One command from its start to its end."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import structlog

from kit.errors import ServiceError, Unavailable
from services.sandbox.commands import MARK, Command, Exited, Started
from services.sandbox.inside import program
from services.sandbox.service.outbox import Outbox
from services.sandbox.vendor import RunningCommand, SandboxLost, VendorSandbox

_log = structlog.get_logger(__name__)
_END_SECONDS = 5.0
TIMEOUT = "timeout"


class Run:
    """One command. ``outbox`` is where its output goes."""

    def __init__(self, command_id: str, command: Command, outbox: Outbox) -> None:
        """Nothing happens before ``go``."""
        self.command_id = command_id
        self.command = replace(command, env={**command.env, MARK: command_id})
        self.outbox = outbox
        self.pid = 0
        self._started = asyncio.Event()
        self._stopped: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def started(self, task: asyncio.Task[Any] | None) -> Started | None:
        """Returns when it has started; ``None`` where its task has ended before that."""
        waiting = asyncio.create_task(self._started.wait())
        try:
            await asyncio.wait(
                [waiting, *([task] if task else [])], return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            waiting.cancel()
        return Started(self.pid) if self._started.is_set() else None

    def stop(self, why: ServiceError) -> None:
        """Ends it; its caller is told why."""
        if not self._stopped.done():
            self._stopped.set_exception(why)
            # Looked at, so that asyncio does not complain where it has just ended by itself.
            self._stopped.exception()

    async def go(self, live: VendorSandbox) -> Exited:
        """Runs it to its end. Cancelled, it ends the command with all that it started.

        Raises ``PathMissing`` where its folder is not there, ``SandboxLost``, ``Unavailable``.
        """
        handle: RunningCommand | None = None
        ended = False
        beginning = asyncio.ensure_future(live.begin(self.command, self.outbox.put))
        try:
            # Shielded: what the vendor is told to start is known by its handle, or runs unknown.
            handle = await asyncio.shield(beginning)
            begun = time.monotonic()
            self.pid = handle.pid
            self._started.set()
            exited = await self._wait(handle, begun)
            ended = exited.cause != TIMEOUT
            return exited
        finally:
            self.outbox.end()
            if not ended:
                await asyncio.shield(self._end(live, beginning))
            elif handle is not None:
                await handle.let_go()

    async def _wait(self, handle: RunningCommand, begun: float) -> Exited:
        waiting = asyncio.ensure_future(handle.wait())
        either: list[asyncio.Future[Any]] = [waiting, self._stopped]
        seconds = self.command.timeout_seconds
        try:
            await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not waiting.done():
                waiting.cancel()
        if self._stopped.done():
            self._stopped.result()
        ms = min(round((time.monotonic() - begun) * 1000), 2**31 - 1)
        if not waiting.done() or waiting.cancelled():
            return Exited(-1, TIMEOUT, self.outbox.truncated, ms)
        how = waiting.result()
        return Exited(how.exit_code, how.signal, self.outbox.truncated, ms)

    async def _end(self, live: VendorSandbox, beginning: asyncio.Future[RunningCommand]) -> None:
        try:
            handle = await beginning
        except Exception:  # noqa: BLE001 - it was not begun: who asked for it has been told
            return
        try:
            await handle.kill()
            await end_all(live, self.command_id, handle.pid)
        except (SandboxLost, ServiceError) as exc:
            # The vendor ends it at its timeout, or has ended it with the sandbox.
            _log.info("command not ended here", command=self.command_id, error=type(exc).__name__)
        finally:
            await handle.let_go()


async def end_all(live: VendorSandbox, command_id: str, pid: int) -> None:
    """Ends everything that a command has started. Raises ``SandboxLost``, ``Unavailable``."""
    try:
        async with asyncio.timeout(_END_SECONDS):
            await live.run(program("ending", f"{MARK}={command_id}", str(pid)), _END_SECONDS)
    except TimeoutError as exc:
        raise Unavailable("the sandbox does not answer", retry_after=1.0) from exc
