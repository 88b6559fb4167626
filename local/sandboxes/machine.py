"""What a sandbox runs in: one jail, and the files, commands and connections inside it."""

from __future__ import annotations

import asyncio
import os
import socket
import stat

from local.sandboxes import errors
from local.sandboxes.agent_link import number
from local.sandboxes.files import Files
from local.sandboxes.jail import Jail
from local.sandboxes.logs import Log
from local.sandboxes.process import Process
from local.sandboxes.processes import Processes
from local.sandboxes.templates import Template
from local.sandboxes.watches import Watches

PATH = "/opt/sandbox/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_DIAL_SECONDS = 10.0


class Machine:
    """Made by ``Machines``; ``sandbox_id`` is the sandbox's that has it or will have it."""

    def __init__(self, jail: Jail, sandbox_id: str, template: Template, log: Log) -> None:
        self.jail = jail
        self.sandbox_id = sandbox_id
        self.template = template
        self.template_id = template.name
        self.envs: dict[str, str] = {}
        self.startup: Process | None = None
        self.log = log
        self.files = Files(jail.link)
        self.processes = Processes(jail.link, self.environment, log)
        self.watches = Watches(jail.link)
        jail.on_event = self._hear

    @property
    def alive(self) -> bool:
        """Whether its agent answers and its start command has not failed."""
        ended = self.startup.ended if self.startup is not None else None
        return self.jail.alive and (ended is None or ended.error is None)

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
            "E2B_TEMPLATE_ID": self.template_id,
            **self.envs,
        }

    async def dial(self, port: int) -> socket.socket:
        """A connection to a port inside; raises PortClosedError when nothing listens."""
        answer = await self.jail.link.ask("dial", str(port), takes=1)
        if not _is_socket(answer.descriptors[0]):
            os.close(answer.descriptors[0])
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
        with self.jail.link.reading():
            used, total = (number(one) for one in answer.fields)
        return used, total

    def cut_off(self, why: str) -> None:
        """End every stream and every transfer of a file; the commands stay."""
        self.files.cut_off(why)
        self.processes.cut_off(why)
        self.watches.cut_off(why)

    def close(self, why: str) -> None:
        """Cut off whoever uses it; the jail is its maker's to end."""
        self.files.close(why)
        self.processes.close(why)
        self.watches.close(why)

    def _hear(self, fields: list[bytes]) -> None:
        if fields[0] == b"exit":
            self.processes.hear_exit(number(fields[1]), number(fields[2], most=0xFFFF))
        elif fields[0] == b"change":
            self.watches.hear(number(fields[1]), fields[2:])


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
