"""One running jail: its process, its uid and the line to its agent."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import structlog

from local.sandboxes.agent_link import AgentLink
from local.sandboxes.errors import UnavailableError
from local.sandboxes.spawning import Spawning, Uids

log = structlog.get_logger(__name__)

# More of them at once would only make each of them slower, until none is ready in time.
_BOOTS_AT_ONCE = 8


class Jail:
    """Booted by ``Jailer``; ``ended`` is set when no process of it is left."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.pid = 0
        self.ended = asyncio.Event()
        self.link: AgentLink
        self.on_event: Callable[[list[bytes]], None] = lambda _: None
        self.on_ended: Callable[[str], None] = lambda _: None
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def alive(self) -> bool:
        return not self.ended.is_set() and not self.link.hung_up()

    def attach(self, link: AgentLink) -> None:
        self.link = link

    async def ready(self) -> None:
        """Wait for the agent's first word."""
        await self._ready

    def hear(self, fields: list[bytes]) -> None:
        """An event of the agent's."""
        if fields[:1] != [b"ready"]:
            self.on_event(fields)
        elif not self._ready.done():
            self._ready.set_result(None)

    def give_up(self, why: str) -> None:
        """The jail is over: tell who waits for it, and its owner."""
        if not self._ready.done():
            self._ready.set_exception(UnavailableError(f"the sandbox did not start: {why}"))
            self._ready.exception()  # seen, even when nobody waits
        self.on_ended(why)


class Jailer:
    """Boots and ends jails."""

    def __init__(self, spawning: Spawning, uids: Uids, boot_timeout: float) -> None:
        self._spawning = spawning
        self._uids = uids
        self._boot_timeout = boot_timeout
        self._turns = asyncio.Semaphore(_BOOTS_AT_ONCE)

    async def boot(self, name: str) -> Jail:
        """A jail whose agent answers; raises UnavailableError with the reason if there is none."""
        async with self._turns:
            return await self._boot(name)

    async def _boot(self, name: str) -> Jail:
        jail = Jail(name)
        uid = self._uids.take()
        try:
            ours, theirs = socket.socketpair()
        except OSError as exc:
            self._uids.give_back(uid)
            raise UnavailableError(f"the sandbox did not start: {exc.strerror}") from exc

        def ended(why: str) -> None:
            self._uids.give_back(uid)
            jail.ended.set()
            jail.give_up(why)
            jail.link.close()

        def lost(why: str) -> None:
            if not jail.ended.is_set():
                log.debug("lost an agent", sandbox=name, why=why)
                self._spawning.end(jail.pid)

        jail.attach(AgentLink(ours, jail.hear, lost))
        try:
            async with asyncio.timeout(self._boot_timeout):
                with theirs:
                    jail.pid = await self._spawning.start(name, uid, theirs, ended)
                await jail.ready()
        except TimeoutError as exc:
            await self.end(jail)
            raise UnavailableError("the sandbox did not start in time") from exc
        except BaseException:
            await self.end(jail)
            raise
        return jail

    async def end(self, jail: Jail) -> None:
        """Kill a jail and wait until nothing of it is left."""
        if jail.pid and not jail.ended.is_set():
            self._spawning.end(jail.pid)
            await jail.ended.wait()
        jail.link.close()
