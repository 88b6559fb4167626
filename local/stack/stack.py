"""The whole platform on this machine: database, keys, and all processes under one supervisor."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from kit.auth.keygen import ensure_keys
from local.stack.child import Child, Say
from local.stack.database import StackDatabase
from local.stack.plan import Process, plan
from local.stack.ports import taken
from local.stack.settings import StackSettings
from local.stack.supervisor import Supervisor
from local.stack.template import write_template


class PortsTaken(Exception):
    """Ports that are needed are in use; ``lines`` says which."""

    def __init__(self, lines: list[str]) -> None:
        """One line a port."""
        super().__init__("; ".join(lines))
        self.lines = lines


class Stack:
    """Starts everything and stops everything."""

    def __init__(self, settings: StackSettings, environment: Mapping[str, str], say: Say) -> None:
        """Nothing starts before ``start``."""
        self.settings = settings
        self._environment = environment
        self._say = say
        self._database = StackDatabase(settings, say)
        self._supervisor: Supervisor | None = None
        self._watching: asyncio.Task[None] | None = None

    @property
    def gateway_url(self) -> str:
        """Where the REST API is."""
        return f"http://localhost:{self.settings.gateway_port}"

    @property
    def gateway(self) -> Process:
        """The gateway's place in the plan, to ask whether one answers there already."""
        return next(process for process in self._plan({}) if process.name == "gateway")

    @property
    def children(self) -> dict[str, Child]:
        """The supervised processes by name."""
        return self._supervisor.children if self._supervisor else {}

    async def start(self) -> None:
        """Returns when everything answers.

        Raises ``PortsTaken``, ``BadSetting`` or ``NotReady``, with nothing left running.
        """
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def wait(self) -> None:
        """Returns never; raises what ends a process for good."""
        if self._supervisor is not None:
            await self._supervisor.wait()

    async def stop(self) -> None:
        """Ends all processes in order, the database last."""
        if self._supervisor is not None:
            await self._supervisor.stop()
        if self._watching is not None:
            self._watching.cancel()
        await asyncio.to_thread(self._database.stop)

    def kill(self) -> None:
        """Ends all processes at once; the database is stopped by ``stop``."""
        if self._supervisor is not None:
            self._supervisor.kill()

    async def _start(self) -> None:
        keys = self.settings.data_dir / "keys"
        if lines := taken(self._plan({})):
            raise PortsTaken(lines)
        ensure_keys(keys)
        writing = write_template(self.settings, self._plan({}), self._say)
        urls, _ = await asyncio.gather(self._database.start(), writing)
        self._watching = asyncio.create_task(self._database.watch())
        self._supervisor = Supervisor(self._plan(urls), self._say)
        await self._supervisor.start()

    def _plan(self, urls: Mapping[str, str]) -> list[Process]:
        known = {"projects": "", "sandbox": "", "generation": "", **urls}
        return plan(self.settings, self._environment, known, self.settings.data_dir / "keys")
