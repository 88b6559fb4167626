"""Wake-ups by NOTIFY, sent when the transaction commits. One channel for all; the payload says who is meant."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

CHANNEL = "generation"
QUEUE = "queue"


def events_of(generation_id: str) -> str:
    """The payload that tells of new events."""
    return f"events:{generation_id}"


def orders_for(generation_id: str) -> str:
    """The payload that tells the worker to look at its row."""
    return f"orders:{generation_id}"


async def notify(connection: AsyncConnection, payload: str) -> None:
    """Wakes who waits for this payload, in every process."""
    await connection.execute(sa.select(sa.func.pg_notify(CHANNEL, payload)))
