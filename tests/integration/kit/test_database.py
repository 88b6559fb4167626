"""Transactions of a service, and what becomes of one whose process stands still."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from kit.db import Database
from tests.fixtures.postgres import Postgres

_LOCK = sa.text("SELECT pg_advisory_xact_lock(1)")


async def test_a_transaction_that_stands_still_gives_its_locks_back(postgres: Postgres) -> None:
    urls = await postgres.fresh_async()
    frozen = Database(urls.generation, pool_size=1, name="frozen", idle_seconds=0.2)
    other = Database(urls.generation, pool_size=1, name="other")

    async def stand_still() -> None:
        async with frozen.begin() as connection:
            await connection.execute(_LOCK)
            async with other.begin() as another:
                # Waits for the lock, while nothing is asked for in the first transaction.
                await another.execute(_LOCK)
            await connection.execute(sa.text("SELECT 1"))

    try:
        with pytest.raises(DBAPIError):
            await stand_still()
        async with frozen.begin() as connection:
            assert (await connection.execute(sa.text("SELECT 1"))).scalar_one() == 1
    finally:
        await frozen.close()
        await other.close()
