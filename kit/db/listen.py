"""Wake-ups by NOTIFY. A wake-up may be lost with a connection, so who waits also looks by itself now and then."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg
import structlog
from sqlalchemy.engine import make_url

_log = structlog.get_logger(__name__)
RETRY_SECONDS = 0.5


class Listener:
    """One connection of a process that listens to one Postgres channel and wakes who waits for a payload."""

    def __init__(self, url: str, channel: str) -> None:
        """``channel`` is a plain lower-case name."""
        self._dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._channel = channel
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    async def run(self) -> None:
        """Listens until it is cancelled; connects again whenever the connection is lost."""
        while True:
            try:
                await self._listen()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
                _log.warning("listening again", channel=self._channel, error=type(exc).__name__)
            await asyncio.sleep(RETRY_SECONDS)

    async def run_until(self, stopping: asyncio.Event) -> None:
        """Listens until a server drains: what an application has in its background."""
        task = asyncio.create_task(self.run())
        try:
            await stopping.wait()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @asynccontextmanager
    async def wakeups(self, payload: str) -> AsyncIterator[asyncio.Event]:
        """An event that each notification with this payload sets (``""``: any), and a connection that was lost."""
        event = asyncio.Event()
        self._waiting[payload].add(event)
        try:
            yield event
        finally:
            self._waiting[payload].discard(event)
            if not self._waiting[payload]:
                del self._waiting[payload]

    async def _listen(self) -> None:
        connection = await asyncpg.connect(self._dsn, timeout=5)
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        try:
            await connection.add_listener(self._channel, self._notified)
            self._wake_all()
            await lost.wait()
        finally:
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await connection.close(timeout=1)

    def _notified(self, _: Any, __: int, ___: str, payload: object) -> None:
        for key in {str(payload), ""}:
            for event in self._waiting.get(key, ()):
                event.set()

    def _wake_all(self) -> None:
        for events in self._waiting.values():
            for event in events:
                event.set()


async def wait(event: asyncio.Event, seconds: float) -> None:
    """Waits for a wake-up, at most so long, and clears it."""
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    event.clear()
