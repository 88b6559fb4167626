"""What a change of a project means for its sandbox."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import structlog

from kit.context import acting_for
from kit.db import Database
from services.sandbox.life_repository import LifeRepository
from services.sandbox.model import Change, ChangeKind, Sandbox
from services.sandbox.repository import Repository
from services.sandbox.service.access import Access
from services.sandbox.service.lifecycle import Lifecycle
from services.sandbox.service.writing import Writing
from services.sandbox.writing_repository import WritingRepository

_log = structlog.get_logger(__name__)
_AT_ONCE = 8
_ALIGN_AFTER_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0)


class Applying:
    """Notes what a change asks for at once; what takes time is done in the background, and by the sweep if need be."""

    def __init__(
        self, database: Database, access: Access, lifecycle: Lifecycle, writing: Writing
    ) -> None:
        """Nothing happens before the first change."""
        self._database = database
        self._access = access
        self._lifecycle = lifecycle
        self._writing = writing
        self._tasks: set[asyncio.Task[None]] = set()
        self._turns = asyncio.Semaphore(_AT_ONCE)

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

    async def finish(self) -> None:
        """Ends what goes on in the background: it is noted, and some may wait for a sandbox that is being made."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _forget(self, change: Change) -> None:
        self._access.forget(change.project_id, change.owner_id)
        async with self._database.begin() as connection:
            gone = await Repository(connection).forget_project(change.project_id)
        for sandbox in gone:
            _log.info("sandbox of a deleted project ended", sandbox=sandbox.sandbox_id)
            self._begin(self._end(sandbox))

    async def _end(self, sandbox: Sandbox) -> None:
        """One that can't be ended now has no row any more: the sweep ends it."""
        async with self._turns:
            await self._lifecycle.kill(sandbox)

    async def _update(self, change: Change) -> None:
        async with self._database.begin() as connection:
            await LifeRepository(connection).set_persistent(
                change.project_id, change.owner_id, persistent=change.persistent
            )

    async def _reset(self, change: Change) -> None:
        async with self._database.begin() as connection:
            repository = Repository(connection)
            # One that is being made may have been filled before the reset; one that sleeps is aligned when it wakes.
            sandbox = await repository.opened(change.project_id, change.owner_id)
            if sandbox is None or not await WritingRepository(connection).unsettle(
                sandbox.sandbox_id, reset=True
            ):
                return
        # Noted, so the sweep would do it; here it is done at once, and others' changes need not wait for it.
        self._begin(self._align(change))

    async def _align(self, change: Change) -> None:
        with acting_for(change.owner_id, "sandbox"):
            for wait in _ALIGN_AFTER_SECONDS:
                try:
                    await self._lifecycle.past_creation(change.project_id, change.owner_id)
                    async with self._turns:
                        await self._writing.align(change.project_id, change.owner_id)
                except Exception as exc:  # noqa: BLE001 - told, and tried again: nobody else is there to do it
                    _log.warning("not aligned yet", project=change.project_id, exc_info=exc)
                    await asyncio.sleep(wait)
                else:
                    return
        _log.warning("left to the sweep", project=change.project_id)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        async def told() -> None:
            with suppress(asyncio.CancelledError):
                try:
                    await work
                except Exception:  # noqa: BLE001 - in the background nobody else would tell
                    _log.exception("left to the sweep")

        task = asyncio.create_task(told())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
