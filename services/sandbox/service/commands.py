"""Running commands in sandboxes: each within its limits, each ended with all that it started."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

import structlog

from kit.db import Database
from kit.errors import Conflict, Invalid, NotFound, QuotaExceeded, ServiceError, Unavailable
from kit.ids import new_id
from services.sandbox.command_repository import CommandRepository
from services.sandbox.commands import Command, Event, Exited
from services.sandbox.model import Sandbox, Status
from services.sandbox.repository import Repository
from services.sandbox.service.fencing import fence
from services.sandbox.service.lifecycle import Lifecycle
from services.sandbox.service.outbox import Outbox
from services.sandbox.service.running import Run, end_all
from services.sandbox.vendor import PathMissing, SandboxLost
from services.sandbox.writing_repository import WritingRepository

_log = structlog.get_logger(__name__)
_ALIVE_SECONDS = 30.0
_RENEW_SECONDS = 10.0
_BUSY_SECONDS = 1.0
_LOOK_SECONDS = 2.0
_AFTER_SECONDS = 10.0


class AfterCommand(Protocol):
    """Who wants to know that a command may have changed files."""

    async def after_command(self, sandbox: Sandbox) -> None:
        """Called now and then while a command runs in the sandbox, and once after it has ended."""


class NobodyAfter:
    """Nobody wants to know."""

    async def after_command(self, sandbox: Sandbox) -> None:
        """Does nothing."""


@dataclass(frozen=True, slots=True)
class CommandLimits:
    """See the settings of the same names."""

    max_output_bytes: int
    max_env_bytes: int
    max_at_once: int
    max_per_minute: int


class Following:
    """A command as its caller sees it."""

    def __init__(self, run: Run, task: asyncio.Task[Exited]) -> None:
        """Made by ``Commands``."""
        self._run = run
        self._task = task

    async def events(self) -> AsyncGenerator[Event, None]:
        """What the command does, to its end; closed before that, it ends the command.

        Raises ``NotFound`` (SANDBOX_NOT_FOUND, FILE_NOT_FOUND), ``QuotaExceeded`` (COMMANDS), ``Unavailable``.
        """
        try:
            started = await self._run.started(self._task)
            if started is not None:
                yield started
            while pieces := await self._run.outbox.take():
                for piece in pieces:
                    yield piece
            yield await asyncio.shield(self._task)
        finally:
            self.end()

    def end(self) -> None:
        """Ends the command, if it has not ended. Nobody waits for that here."""
        self._task.cancel()


class Commands:
    """Runs commands."""

    def __init__(
        self,
        database: Database,
        lifecycle: Lifecycle,
        limits: CommandLimits,
        after: AfterCommand | None = None,
    ) -> None:
        """``after`` is told of commands that run and have ended."""
        self._database = database
        self._lifecycle = lifecycle
        self._limits = limits
        self.after = after or NobodyAfter()
        self._runs: dict[asyncio.Task[Exited], Run] = {}
        self._stopping = False

    def begin(self, project_id: str, owner_id: str, command: Command) -> Following:
        """Begins a command. Raises ``Invalid``; what else it can't be begun for is told by its events."""
        self._check_env(command)
        run = Run(new_id("cmd"), command, Outbox(self._limits.max_output_bytes))
        task = asyncio.create_task(self._run(project_id, owner_id, run))
        self._runs[task] = run
        task.add_done_callback(self._forget)
        return Following(run, task)

    async def tend(self, stopping: asyncio.Event) -> None:
        """Ends what other replicas have left behind, until this one stops; then ends what runs here."""
        while not stopping.is_set():
            try:
                await self.end_forsaken()
            except Exception as exc:  # noqa: BLE001 - tried again soon
                _log.warning("forsaken commands not ended", error=type(exc).__name__)
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), _RENEW_SECONDS)
        self._stopping = True
        for run in list(self._runs.values()):
            run.stop(Unavailable("the service stops", reason="STOPPING", retry_after=1.0))
        await self.finish()

    async def finish(self) -> None:
        """Returns when every command that ran here is ended."""
        if self._runs:
            await asyncio.wait(self._runs)

    async def end_forsaken(self) -> None:
        """Ends commands whose service has died."""
        async with self._database.begin() as connection:
            forsaken = await CommandRepository(connection).end_forsaken()
            sandboxes = await Repository(connection).by_ids({one.sandbox_id for one in forsaken})
        for one in forsaken:
            sandbox = sandboxes.get(one.sandbox_id)
            if sandbox is None or sandbox.status is not Status.ACTIVE:
                continue
            _log.warning("forsaken command ended", sandbox=one.sandbox_id, command=one.command_id)
            with suppress(SandboxLost, ServiceError):
                await end_all(await self._lifecycle.connect(sandbox), one.command_id, one.pid)

    async def _run(self, project_id: str, owner_id: str, run: Run) -> Exited:
        if self._stopping:
            raise Unavailable("the service stops", reason="STOPPING", retry_after=1.0)
        async with (
            self._lifecycle.using(project_id, owner_id) as (sandbox, live),
            self._slot(sandbox, run),
            self._watched(sandbox),
        ):
            try:
                return await run.go(live)
            except PathMissing as exc:
                raise NotFound(
                    f"cwd: there is no folder '{run.command.cwd}' in the sandbox",
                    reason="FILE_NOT_FOUND",
                ) from exc

    @asynccontextmanager
    async def _slot(self, sandbox: Sandbox, run: Run) -> AsyncIterator[None]:
        """Inside of it the command counts as running, in every replica."""
        async with self._database.begin() as connection:
            repository = CommandRepository(connection)
            await repository.lock_owner(sandbox.owner_id)
            await self._check_limits(repository, sandbox)
            await fence(WritingRepository(connection), sandbox.project_id, run.command.origin)
            await repository.insert(
                run.command_id, sandbox.sandbox_id, sandbox.owner_id, _ALIVE_SECONDS
            )
        renewing = asyncio.create_task(self._renew(sandbox.project_id, run))
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.shield(self._give_back(run.command_id))

    async def _check_limits(self, repository: CommandRepository, sandbox: Sandbox) -> None:
        limits = self._limits
        running = await repository.count_running(sandbox.sandbox_id)
        if running >= limits.max_at_once:
            raise _too_many(
                f"at most {limits.max_at_once} commands may run in a sandbox at once, and {running} do",
                limits.max_at_once,
                running,
                _BUSY_SECONDS,
            )
        begun = await repository.count_in_last_minute(sandbox.owner_id)
        if begun >= limits.max_per_minute:
            left = await repository.seconds_until_another(sandbox.owner_id, limits.max_per_minute)
            raise _too_many(
                f"at most {limits.max_per_minute} commands may be begun a minute, and {begun} were",
                limits.max_per_minute,
                begun,
                max(left, 0.001),
            )

    async def _renew(self, project_id: str, run: Run) -> None:
        await run.started(None)
        while True:
            try:
                async with self._database.begin() as connection:
                    await CommandRepository(connection).renew(
                        run.command_id, run.pid, _ALIVE_SECONDS
                    )
                    await fence(WritingRepository(connection), project_id, run.command.origin)
            except Conflict as exc:
                # Its worker does not know yet that it has lost the lease, or is no more.
                run.stop(exc)
                return
            except Exception as exc:  # noqa: BLE001 - tried again soon
                _log.warning("not renewed", command=run.command_id, error=type(exc).__name__)
            await asyncio.sleep(_RENEW_SECONDS)

    async def _give_back(self, command_id: str) -> None:
        try:
            async with self._database.begin() as connection:
                await CommandRepository(connection).end(command_id)
        except Exception as exc:  # noqa: BLE001 - its time runs out by itself
            _log.warning("not given back", command=command_id, error=type(exc).__name__)

    @asynccontextmanager
    async def _watched(self, sandbox: Sandbox) -> AsyncIterator[None]:
        """Inside of it, and once at its end, whoever wants to know of changed files is told."""
        looking = asyncio.create_task(self._look(sandbox))
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.wait([looking])
            await asyncio.shield(self._tell(sandbox))

    async def _look(self, sandbox: Sandbox) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            await self._tell(sandbox)

    async def _tell(self, sandbox: Sandbox) -> None:
        try:
            async with asyncio.timeout(_AFTER_SECONDS):
                await self.after.after_command(sandbox)
        except Exception as exc:  # noqa: BLE001 - the command went as it went
            _log.warning("not told", sandbox=sandbox.sandbox_id, error=type(exc).__name__)

    def _check_env(self, command: Command) -> None:
        size = sum(len(f"{name}={value}".encode()) for name, value in command.env.items())
        if size > self._limits.max_env_bytes:
            raise Invalid.field(
                "env",
                f"names and values must have at most {self._limits.max_env_bytes} bytes together, and have {size}",
            )

    def _forget(self, task: asyncio.Task[Exited]) -> None:
        self._runs.pop(task).outbox.end()
        if not task.cancelled():
            # Looked at, so that asyncio does not complain where nobody waits any more.
            task.exception()


def _too_many(message: str, limit: int, used: int, retry_after: float) -> QuotaExceeded:
    return QuotaExceeded(
        message,
        reason="COMMANDS",
        retry_after=retry_after,
        metadata={"limit": str(limit), "used": str(used)},
    )
