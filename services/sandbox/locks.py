"""Locks by name that hold across replicas and end with the process that holds them: Postgres session locks.

All locks of a process are held by one connection of its own, so that none of the pool waits with a lock.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass

import asyncpg
from sqlalchemy.engine import make_url

from kit.errors import Unavailable

_FIRST_WAIT, _LONGEST_WAIT = 0.005, 0.1
_ANSWER_SECONDS = 5
_KEY = "hashtextextended('sandbox ' || $1, 0)"


@dataclass(slots=True)
class _Turn:
    """Those of this process who want one name; Postgres would let them all in, they share the connection."""

    lock: asyncio.Lock
    users: int = 0


class Lock:
    """A lock that is held."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        """Held by this connection."""
        self.connection = connection

    @property
    def held(self) -> bool:
        """False where the connection was lost, and others may have the lock now."""
        return not self.connection.is_closed()


class Locks:
    """Hands out locks. Nothing connects before the first one."""

    def __init__(self, url: str) -> None:
        """``url`` is the service's own, for SQLAlchemy."""
        self._dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._connection: asyncpg.Connection | None = None
        # A connection does one thing at a time.
        self._use = asyncio.Lock()
        self._turns: dict[str, _Turn] = {}

    @asynccontextmanager
    async def hold(self, name: str, *, look_every: float = _LONGEST_WAIT) -> AsyncIterator[Lock]:
        """Waits until the lock is free, looking at least so often (seconds).

        Raises ``Unavailable`` where the database does not answer.
        """
        turn = self._turns.setdefault(name, _Turn(asyncio.Lock()))
        turn.users += 1
        try:
            async with turn.lock:
                lock = await self._acquire(name, look_every)
                try:
                    yield lock
                finally:
                    await asyncio.shield(self._release(name, lock))
        finally:
            turn.users -= 1
            if not turn.users:
                self._turns.pop(name, None)

    async def close(self) -> None:
        """Lets go of all locks."""
        if self._connection is not None:
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await self._connection.close(timeout=1)

    async def _acquire(self, name: str, look_every: float) -> Lock:
        wait = _FIRST_WAIT
        while True:
            connection = await self._try(name)
            if connection is not None:
                return Lock(connection)
            await asyncio.sleep(wait)
            wait = min(wait * 2, look_every)

    async def _try(self, name: str) -> asyncpg.Connection | None:
        """The connection that has the lock now; ``None`` where another process has it."""
        # Shielded: a caller who leaves in the middle must not leave the lock behind.
        attempt = asyncio.ensure_future(self._attempt(name))
        try:
            return await asyncio.shield(attempt)
        except asyncio.CancelledError:
            attempt.add_done_callback(lambda done: self._give_back(name, done))
            raise

    def _give_back(self, name: str, done: asyncio.Future[asyncpg.Connection | None]) -> None:
        if not done.cancelled() and done.exception() is None and (found := done.result()):
            self._releasing = asyncio.ensure_future(self._release(name, Lock(found)))

    async def _attempt(self, name: str) -> asyncpg.Connection | None:
        async with self._use:
            try:
                if self._connection is None or self._connection.is_closed():
                    self._connection = await asyncpg.connect(
                        self._dsn, timeout=_ANSWER_SECONDS, command_timeout=_ANSWER_SECONDS
                    )
                with _ended_where_silent(self._connection):
                    got = await self._connection.fetchval(
                        f"SELECT pg_try_advisory_lock({_KEY})", name
                    )
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
                raise Unavailable("the database does not answer", retry_after=1.0) from exc
            return self._connection if got else None

    async def _release(self, name: str, lock: Lock) -> None:
        # A lost connection has let go of its locks by itself.
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            async with self._use:
                if lock.held:
                    with _ended_where_silent(lock.connection):
                        await lock.connection.execute(f"SELECT pg_advisory_unlock({_KEY})", name)


@contextmanager
def _ended_where_silent(connection: asyncpg.Connection) -> Iterator[None]:
    """What was asked may be done though nobody heard the answer: only with the connection is the lock surely gone."""
    try:
        yield
    except TimeoutError:
        connection.terminate()
        raise
