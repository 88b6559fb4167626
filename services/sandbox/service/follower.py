"""Following the projects service's change log.

Each change is applied in its turn. One that fails is noted and tried again later, so that it keeps no other from its
turn: what changes ask for can be done in any order, and repeated, except that of two of a kind the newer one counts.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import structlog

from kit.context import acting_for
from kit.db import Database
from kit.errors import ServiceError
from kit.tasks import ended
from services.sandbox.change_repository import ChangeRepository
from services.sandbox.locks import Lock, Locks
from services.sandbox.model import Change
from services.sandbox.projects_peer import ProjectsPeer
from services.sandbox.service.applying import Applying

_log = structlog.get_logger(__name__)
_RETRY_SECONDS = 0.1
_LONGEST_RETRY_SECONDS = 2.0
_TURN_SECONDS = 0.25
"""So soon after a replica that followed has died another one does."""
_APPLY_SECONDS = 10.0
_LATER_SECONDS = 0.5
_LATER_AT_ONCE = 50


class Follower:
    """Applies each change once or more; one replica at a time."""

    def __init__(
        self, database: Database, locks: Locks, projects: ProjectsPeer, applying: Applying
    ) -> None:
        """Reads changes from ``projects``."""
        self._database = database
        self._locks = locks
        self._projects = projects
        self._applying = applying
        # A change that was left is not applied while a newer one of its kind is.
        self._one = asyncio.Lock()

    async def run(self, stopping: asyncio.Event) -> None:
        """Follows until the server stops."""
        work = asyncio.create_task(self._follow_always())
        waiter = asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait([work, waiter], return_when=asyncio.FIRST_COMPLETED)
        finally:
            await ended([work, waiter])
            await self._applying.finish()

    async def _follow_always(self) -> None:
        wait = _RETRY_SECONDS
        while True:
            begun = asyncio.get_running_loop().time()
            try:
                async with self._locks.hold("following projects", look_every=_TURN_SECONDS) as lock:
                    await self._follow_while(lock)
            except ServiceError as exc:
                _log.info("following again", reason=exc.reason)
            except Exception as exc:  # noqa: BLE001 - told, and tried again: nobody else is there to do it
                _log.warning("following again", exc_info=exc)
            lasted = asyncio.get_running_loop().time() - begun > _LONGEST_RETRY_SECONDS
            wait = _RETRY_SECONDS if lasted else min(wait * 2, _LONGEST_RETRY_SECONDS)
            await asyncio.sleep(wait)

    async def _follow_while(self, lock: Lock) -> None:
        later = asyncio.create_task(self._catch_up_always())
        try:
            with acting_for("", "sandbox"):
                await self._follow(lock)
        finally:
            await ended([later])

    async def _follow(self, lock: Lock) -> None:
        async with self._database.begin() as connection:
            after = await ChangeRepository(connection).cursor()
        async with aclosing(self._projects.changes(after)) as changes:
            async for change in changes:
                if not lock.held:
                    return
                async with self._one:
                    await self.apply(change)

    async def _take_left(self, change: Change) -> None:
        async with self._one:
            async with self._database.begin() as connection:
                left = await ChangeRepository(connection).still_left(change)
            if left:
                await self.apply(change)

    async def apply(self, change: Change) -> None:
        """Applies a change, or notes that it is still to be. Raises where not even that can be noted."""
        try:
            async with asyncio.timeout(_APPLY_SECONDS):
                await self._applying.apply(change)
        except Exception as exc:  # noqa: BLE001 - whatever it is, others' changes must not wait for it
            _log.warning(
                "change left for later",
                sequence=change.sequence,
                project=change.project_id,
                exc_info=exc,
            )
            async with self._database.begin() as connection:
                await ChangeRepository(connection).leave(change, _LATER_SECONDS)
        else:
            async with self._database.begin() as connection:
                await ChangeRepository(connection).done(change)

    async def _catch_up_always(self) -> None:
        while True:
            try:
                async with self._database.begin() as connection:
                    due = await ChangeRepository(connection).due(_LATER_AT_ONCE)
                for change in due:
                    await self._take_left(change)
            except Exception as exc:  # noqa: BLE001 - told, and tried again
                _log.warning("catching up again", exc_info=exc)
            await asyncio.sleep(_LATER_SECONDS)
