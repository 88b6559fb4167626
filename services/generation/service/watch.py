"""Following a generation's log, from any replica, without holding a database connection while waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from kit.db import Database
from kit.db.listen import Listener, wait
from kit.errors import NotFound, Unavailable
from services.generation.convert import TERMINAL
from services.generation.repository import Events, Jobs, LoggedEvent
from services.generation.repository.wakeups import events_of

_BATCH = 256


class Watch:
    """WatchGeneration."""

    def __init__(
        self, database: Database, listener: Listener, stopping: asyncio.Event, poll_seconds: float
    ) -> None:
        """A wake-up may be lost, so the log is also looked at every ``poll_seconds``."""
        self._database = database
        self._listener = listener
        self._stopping = stopping
        self._poll_seconds = poll_seconds

    async def events(
        self, owner_id: str, generation_id: str, after: int
    ) -> AsyncGenerator[LoggedEvent, None]:
        """Every event behind ``after`` up to the last one of all.

        Raises ``NotFound``, and ``Unavailable`` (DRAINING) when this server stops: ask another one for what follows.
        """
        async with self._listener.wakeups(events_of(generation_id)) as woken:
            while True:
                found, over = await self._look(owner_id, generation_id, after)
                for event in found:
                    yield event
                    after = event.sequence
                    if event.kind in TERMINAL:
                        return
                if over:
                    return
                if self._stopping.is_set():
                    raise Unavailable(
                        "the server is restarting", reason="DRAINING", retry_after=0.5
                    )
                if not found:
                    await wait(woken, self._poll_seconds)

    async def _look(
        self, owner_id: str, generation_id: str, after: int
    ) -> tuple[list[LoggedEvent], bool]:
        """The next events, and whether there are none and will be none."""
        async with self._database.begin() as connection:
            found = await Events(connection).after(generation_id, after, _BATCH)
            if found:
                return found, False
            job = await Jobs(connection).get(owner_id, generation_id)
        if job is None:
            raise NotFound("there is no such generation", reason="GENERATION_NOT_FOUND")
        return [], job.status.ended and after >= job.last_sequence
