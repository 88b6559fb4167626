"""Making machines: boot a jail, put its files in, run its start command, wait until it is ready."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import structlog

from local.sandboxes import errors, readiness, trees
from local.sandboxes.broadcast import CutOffError
from local.sandboxes.jail import Jailer
from local.sandboxes.logs import Log
from local.sandboxes.machine import Machine
from local.sandboxes.model import new_id
from local.sandboxes.process import Command, Ended, Output, Process
from local.sandboxes.templates import Startup, Template

log = structlog.get_logger(__name__)

_SHELL = ("/bin/bash", ["-l", "-c"])
_TAG = "start"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.002, 0.1
_LAST_WORDS = 2000
_OVER = "the sandbox did not become ready"


class Machines:
    """Makes and ends them."""

    def __init__(self, jailer: Jailer) -> None:
        self._jailer = jailer

    async def make(
        self,
        template: Template,
        sandbox_id: str | None = None,
        tree: Path | None = None,
        log: Log | None = None,
    ) -> Machine:
        """A machine that is ready; ``tree`` is a captured file tree instead of the template's own.

        ``sandbox_id`` and ``log`` are those of a sandbox that had another machine before.

        Raises UnavailableError, StartError, NotEnoughSpaceError, UnsupportedError. In a file tree of a sandbox's own
        the start command may have lost what it needs: what is saved counts for more than that it starts.
        """
        name = new_id()
        jail = await self._jailer.boot(name)
        machine = Machine(jail, sandbox_id or name, template, log or Log())
        try:
            if tree is not None:
                await trees.restore(machine.processes, tree, whole=True)
            elif template.tree is not None:
                await trees.restore(machine.processes, template.tree, whole=False)
            if template.startup is not None:
                await _started(machine, template.startup, saved=tree is not None)
        except BaseException:
            await self.end(machine, _OVER)
            raise
        return machine

    async def end(self, machine: Machine, why: str) -> None:
        """Cut off who uses it, kill it and wait until nothing of it is left."""
        machine.close(why)
        await self._jailer.end(machine.jail)


async def _started(machine: Machine, startup: Startup, *, saved: bool) -> None:
    """``saved``: the files are a sandbox's own, and come back though the start command fails."""
    try:
        machine.startup = await _start(machine, startup)
    except errors.StartError as exc:
        if not saved:
            raise
        log.warning("start command failed", sandbox=machine.sandbox_id, why=exc.message)


async def _start(machine: Machine, startup: Startup) -> Process:
    """Run a start command and wait for its ready check; raises StartError."""
    process = await machine.processes.start(_command(startup, startup.command, _TAG))
    async with _listening(process) as said:
        try:
            async with asyncio.timeout(startup.ready_timeout):
                await _ready(machine, startup, process)
        except TimeoutError as exc:
            raise errors.StartError(
                f"template {machine.template.name}: not ready after {startup.ready_timeout:g} s"
                f"{_quoted(said)}"
            ) from exc
        if process.ended is not None and process.ended.error is not None:
            await asyncio.sleep(0)  # its last words are on their way
            raise errors.StartError(
                f"template {machine.template.name}: the start command ended with "
                f"{process.ended.status} before it was ready{_quoted(said)}"
            )
    return process


async def _ready(machine: Machine, startup: Startup, process: Process) -> None:
    """Return when it is ready, or when its start command has failed."""
    pause = _FIRST_PAUSE
    while not await _passes(machine, startup):
        if process.ended is not None and process.ended.error is not None:
            return
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


async def _passes(machine: Machine, startup: Startup) -> bool:
    if startup.ready_port is not None:
        try:
            return await readiness.answers(
                await machine.dial(startup.ready_port), startup.ready_path
            )
        except errors.PortClosedError:
            return False
    if startup.ready_command:
        process = await machine.processes.start(_command(startup, startup.ready_command, None))
        return (await _end_of(process)).exit_code == 0
    return True


async def _end_of(process: Process) -> Ended:
    reader = process.events.join()
    try:
        while process.ended is None:
            event = await reader.get()
            if isinstance(event, Ended):
                return event
        return process.ended
    except CutOffError as exc:
        raise errors.UnavailableError(str(exc)) from exc
    finally:
        process.events.leave(reader)


@contextlib.asynccontextmanager
async def _listening(process: Process) -> AsyncIterator[bytearray]:
    """The first words of a command, for who has to say why it failed."""
    said = bytearray()
    reader = process.events.join()

    async def listen() -> None:
        while True:
            event = await reader.get()
            if isinstance(event, Output):
                said.extend(event.data[: _LAST_WORDS - len(said)])

    task = asyncio.create_task(listen())
    try:
        yield said
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, CutOffError):
            await task
        process.events.leave(reader)


def _command(startup: Startup, text: str, tag: str | None) -> Command:
    shell, options = _SHELL
    return Command(shell, [*options, text], dict(startup.envs), startup.cwd, startup.user, tag=tag)


def _quoted(said: bytearray) -> str:
    text = said.decode("utf-8", "replace").strip()
    return f": {text}" if text else ""
