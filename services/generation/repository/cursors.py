"""How far another service's change log was applied."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.generation.tables import cursors


class Cursors:
    """By the source's name."""

    def __init__(self, connection: AsyncConnection) -> None:
        """On a connection with a transaction."""
        self._connection = connection

    async def get(self, source: str) -> int:
        """The last sequence number that was applied; 0 for none."""
        query = sa.select(cursors.c.sequence).where(cursors.c.source == source)
        return int((await self._connection.execute(query)).scalar_one_or_none() or 0)

    async def advance(self, source: str, sequence: int) -> None:
        """Remembers a sequence number, never a smaller one than before."""
        added = insert(cursors).values(source=source, sequence=sequence)
        higher = sa.func.greatest(cursors.c.sequence, added.excluded.sequence)
        await self._connection.execute(
            added.on_conflict_do_update(index_elements=["source"], set_={"sequence": higher})
        )
