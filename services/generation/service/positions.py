"""Telling those who wait that they moved up."""

from __future__ import annotations

import structlog
from sqlalchemy.exc import SQLAlchemyError

from kit.db import Database
from services.generation.convert import event_entry
from services.generation.model import Queued
from services.generation.repository import Jobs, Positions

_log = structlog.get_logger(__name__)


async def tell_positions(database: Database, owner_id: str) -> None:
    """Tells each of a user's waiting generations its place, where that is not the one it was told last.

    For whoever took one out of the queue, after their transaction. What is lost here is told with the next change.
    """
    try:
        async with database.begin() as connection:
            await Jobs(connection).lock_owner(owner_id)
            positions = Positions(connection)
            moved = await positions.moved(owner_id)
            told = {key: (place, event_entry(Queued(place))) for key, place in moved.items()}
            await positions.tell(told)
    except (SQLAlchemyError, OSError) as exc:
        _log.warning("places in the queue not told", error=type(exc).__name__)
