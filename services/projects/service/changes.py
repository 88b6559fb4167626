"""Following the change log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from kit.db import Database
from kit.db.listen import Listener, wait
from kit.errors import Unavailable
from services.projects.model import Change
from services.projects.repository.changes import ChangesRepository

_BATCH = 500


@dataclass(frozen=True, slots=True)
class Changes:
    """What other services follow."""

    database: Database
    listener: Listener
    stopping: asyncio.Event
    poll_seconds: float

    async def follow(self, after: int, owner_id: str) -> AsyncIterator[Change]:
        """Changes after a sequence number, as they are committed, for as long as the server runs.

        Of one owner's projects, or with ``""`` of all. Raises ``Unavailable`` when the server stops.
        """
        async with self.listener.wakeups("") as woken:
            while not self.stopping.is_set():
                async with self.database.begin() as connection:
                    found = await ChangesRepository(connection).after(after, owner_id, _BATCH)
                for change in found:
                    yield change
                    after = change.sequence
                if not found:
                    await wait(woken, self.poll_seconds)
        raise Unavailable("the server is restarting", reason="DRAINING", retry_after=0.5)
