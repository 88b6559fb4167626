"""Following the projects service's change log."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress

import structlog

from kit.context import acting_for
from kit.db import Database
from kit.errors import ServiceError
from services.sandbox.life_repository import LifeRepository
from services.sandbox.locks import Locks
from services.sandbox.model import Change, ChangeKind
from services.sandbox.projects_peer import ProjectsPeer
from services.sandbox.repository import PROJECTS_CURSOR, Repository
from services.sandbox.service.access import Access
from services.sandbox.service.lifecycle import Lifecycle
from services.sandbox.service.writing import Writing

_log = structlog.get_logger(__name__)
_RETRY_SECONDS = 0.5
_TURN_SECONDS = 2.0
_AT_ONCE = 8


class Follower:
    """Applies each change once or more, in order; one replica at a time."""

    def __init__(
        self,
        database: Database,
        locks: Locks,
        projects: ProjectsPeer,
        access: Access,
        lifecycle: Lifecycle,
        writing: Writing,
    ) -> None:
        """Reads changes from ``projects``."""
        self._database = database
        self._locks = locks
        self._projects = projects
        self._access = access
        self._lifecycle = lifecycle
        self._writing = writing
        self._aligning: set[asyncio.Task[None]] = set()
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def run(self, stopping: asyncio.Event) -> None:
        """Follows until the server stops."""
        work = asyncio.create_task(self._follow_always())
        waiter = asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait([work, waiter], return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiter.cancel()
            work.cancel()
            await asyncio.wait([work, waiter])
            # What they were about to do is noted, and some may wait for a sandbox that is still being made.
            for task in self._aligning:
                task.cancel()
            await asyncio.gather(*self._aligning, return_exceptions=True)

    async def _follow_always(self) -> None:
        while True:
            try:
                async with self._locks.hold("following projects", look_every=_TURN_SECONDS):
                    await self._follow()
            except ServiceError as exc:
                _log.info("following again", reason=exc.reason)
            except Exception as exc:  # noqa: BLE001 - told, and tried again: nobody else is there to do it
                _log.warning("following again", exc_info=exc)
            await asyncio.sleep(_RETRY_SECONDS)

    async def _follow(self) -> None:
        async with self._database.begin() as connection:
            after = await Repository(connection).cursor(PROJECTS_CURSOR)
        with acting_for("", "sandbox"):
            async with aclosing(self._projects.changes(after)) as changes:
                async for change in changes:
                    await self.apply(change)
                    async with self._database.begin() as connection:
                        await Repository(connection).advance(PROJECTS_CURSOR, change.sequence)

    async def apply(self, change: Change) -> None:
        """Does what a change asks for. Repeated it does no harm."""
        match change.kind:
            case ChangeKind.PROJECT_DELETED:
                await self._forget(change)
            case ChangeKind.FILES_RESET:
                await self._reset(change)
            case ChangeKind.PROJECT_UPDATED:
                await self._update(change)
            case ChangeKind.OTHER:
                return

    async def _forget(self, change: Change) -> None:
        self._access.forget(change.project_id, change.owner_id)
        async with self._database.begin() as connection:
            gone = await Repository(connection).forget_project(change.project_id)
        for sandbox in gone:
            _log.info("sandbox of a deleted project ended", sandbox=sandbox.sandbox_id)
            await self._lifecycle.kill(sandbox)

    async def _update(self, change: Change) -> None:
        async with self._database.begin() as connection:
            await LifeRepository(connection).set_persistent(
                change.project_id, change.owner_id, persistent=change.persistent
            )

    async def _reset(self, change: Change) -> None:
        async with self._database.begin() as connection:
            repository = Repository(connection)
            # One that is being made may have been filled before the reset.
            sandbox = await repository.opened(change.project_id, change.owner_id)
            if sandbox is None or not await repository.unsettle(sandbox.sandbox_id):
                return
        # Noted, so the sweep would do it; here it is done at once, and others' changes need not wait for it.
        task = asyncio.create_task(self._align(change))
        self._aligning.add(task)
        task.add_done_callback(self._aligning.discard)

    async def _align(self, change: Change) -> None:
        with acting_for(change.owner_id, "sandbox"), suppress(asyncio.CancelledError):
            try:
                await self._lifecycle.past_creation(change.project_id, change.owner_id)
                async with self._turns:
                    await self._writing.align(change.project_id, change.owner_id)
            except Exception as exc:  # noqa: BLE001 - told, and tried again: nobody else is there to do it
                _log.warning("left to the sweep", project=change.project_id, exc_info=exc)
