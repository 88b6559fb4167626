"""One sandbox: what was ordered, the jail that it runs in, and when it ends."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from local.sandboxes import errors
from local.sandboxes.files import Files
from local.sandboxes.jail import Jail
from local.sandboxes.model import Identity, Order, State
from local.sandboxes.processes import Processes
from local.sandboxes.watches import Watches

PATH = "/opt/sandbox/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_DIAL_SECONDS = 10.0


@dataclass
class _Deadline:
    at: float
    timer: asyncio.TimerHandle


class Sandbox:
    """Lives from create to kill; ``on_deadline`` is called when its time is up."""

    def __init__(
        self, identity: Identity, order: Order, jail: Jail, on_deadline: Callable[[Sandbox], None]
    ) -> None:
        self.identity = identity
        self.order = order
        self.jail = jail
        self.state = State.RUNNING
        self.gone = asyncio.Event()
        self.files = Files(jail.link)
        self.processes = Processes(jail.link, self.environment)
        self.watches = Watches(jail.link)
        self._on_deadline = on_deadline
        self._deadline: _Deadline | None = None
        jail.on_event = self._hear
        self.set_timeout(order.timeout)

    @property
    def sandbox_id(self) -> str:
        return self.identity.sandbox_id

    @property
    def ends_at(self) -> datetime:
        """When its time is up; now for one that is gone."""
        if self._deadline is None:
            return datetime.now(UTC)
        return datetime.now(UTC) + timedelta(seconds=self.seconds_left)

    @property
    def seconds_left(self) -> float:
        return max(0.0, self._deadline.at - time.monotonic()) if self._deadline else 0.0

    def set_timeout(self, seconds: float) -> None:
        """End ``seconds`` from now."""
        self._forget_deadline()
        timer = asyncio.get_running_loop().call_later(seconds, self._on_deadline, self)
        self._deadline = _Deadline(time.monotonic() + seconds, timer)

    def environment(self, user: str) -> dict[str, str]:
        """The variables of every command of ``user``."""
        name = user or "user"
        return {
            "PATH": PATH,
            "HOME": "/root" if name == "root" else f"/home/{name}",
            "USER": name,
            "LOGNAME": name,
            "LANG": "C.UTF-8",
            "E2B_SANDBOX": "true",
            "E2B_SANDBOX_ID": self.sandbox_id,
            "E2B_TEMPLATE_ID": self.order.template,
            **self.order.envs,
        }

    async def dial(self, port: int) -> socket.socket:
        """A connection to a port inside; raises PortClosedError when nothing listens."""
        answer = await self.jail.link.ask("dial", str(port))
        if len(answer.descriptors) != 1 or not _is_socket(answer.descriptors[0]):
            for one in answer.descriptors:
                os.close(one)
            raise errors.InternalError("the agent answered without a connection")
        connection = socket.socket(fileno=answer.descriptors[0])
        connection.setblocking(False)
        try:
            await _established(connection)
        except OSError as exc:
            connection.close()
            raise errors.PortClosedError(f"port {port} is not open") from exc
        except BaseException:
            connection.close()
            raise
        return connection

    async def disk(self) -> tuple[int, int]:
        """Bytes in use and in all."""
        answer = await self.jail.link.ask("disk")
        used, total = (int(one) for one in answer.fields)
        return used, total

    def paused(self, why: str) -> None:
        """It no longer runs: its time stands still, and its streams end; its commands stay."""
        self.state = State.PAUSED
        self._forget_deadline()
        self.processes.cut_off(why)
        self.watches.cut_off(why)

    def resumed(self, seconds: float) -> None:
        """It runs again, for so many seconds."""
        self.state = State.RUNNING
        self.set_timeout(seconds)

    def close(self, why: str) -> None:
        """Cut off whoever uses it; the jail is the engine's to end."""
        self._forget_deadline()
        self.gone.set()
        self.processes.close(why)
        self.watches.close(why)

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.timer.cancel()
            self._deadline = None

    def _hear(self, fields: list[bytes]) -> None:
        if fields[0] == b"exit":
            self.processes.hear_exit(int(fields[1]), int(fields[2]))
        elif fields[0] == b"change":
            self.watches.hear(int(fields[1]), fields[2:])


def _is_socket(descriptor: int) -> bool:
    return stat.S_ISSOCK(os.fstat(descriptor).st_mode)


async def _established(connection: socket.socket) -> None:
    """Wait until a connection that was begun inside the jail stands; raises OSError if it fails."""
    error = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error == 0:
        try:
            connection.getpeername()
        except OSError:
            await _writable(connection)
            error = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, os.strerror(error))


async def _writable(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(connection.fileno(), ready.set)
    try:
        async with asyncio.timeout(_DIAL_SECONDS):
            await ready.wait()
    finally:
        loop.remove_writer(connection.fileno())
