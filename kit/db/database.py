"""A service's connection pool and its transactions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

_IDLE_SECONDS = 30.0


class Database:
    """One service's own part of the database. Nothing connects before the first transaction."""

    def __init__(
        self, url: str, *, pool_size: int, name: str, idle_seconds: float = _IDLE_SECONDS
    ) -> None:
        """``name`` shows in ``pg_stat_activity``.

        A transaction in which nothing is asked for ``idle_seconds`` is rolled back by the server: a process that stands
        still in the middle of one keeps its locks from the others no longer than that.
        """
        self.url = url
        self.engine: AsyncEngine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=10,
            # An error's text goes into the log: what a statement was given stays out of it.
            hide_parameters=True,
            # A connection that died with a restarted server is replaced before its use, not after an error.
            pool_pre_ping=True,
            connect_args={
                "server_settings": {
                    "application_name": name,
                    "idle_in_transaction_session_timeout": f"{round(idle_seconds * 1000)}",
                },
                "timeout": 5,
            },
        )

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """A transaction: committed at the end, rolled back on an exception."""
        async with self.engine.begin() as connection:
            yield connection

    async def close(self) -> None:
        """Closes all connections."""
        await self.engine.dispose()
