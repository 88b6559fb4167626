"""What a generation's work needed and nobody needs once it has ended: its attachments' bytes, its conversations."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.generation.model import ENDED
from services.generation.tables import attachments, messages
from services.generation.tables import generations as table

_KEPT = table.c.forgotten.is_(False)
_ENDED = _KEPT & table.c.ended_at.is_not(None) & table.c.status.in_(ENDED)
_AT_ONCE = 100


class Leftovers:
    """Names and sizes of attachments stay, and so does the log of events."""

    def __init__(self, connection: AsyncConnection) -> None:
        """On a connection with a transaction."""
        self._connection = connection

    async def stored(self, owner_id: str) -> int:
        """Bytes of one user's attachments. Asked with the owner locked."""
        query = (
            sa.select(sa.func.coalesce(sa.func.sum(attachments.c.size_bytes), 0))
            .join_from(table, attachments)
            .where((table.c.owner_id == owner_id) & _KEPT)
        )
        return int((await self._connection.execute(query)).scalar_one())

    async def forget_oldest(self, owner_id: str, size: int) -> int:
        """Forgets what ended longest ago of one user's, until so many bytes are gone or nothing is left; how many."""
        total = sa.func.sum(attachments.c.size_bytes)
        rows = await self._connection.execute(
            sa.select(table.c.generation_id, total)
            .join_from(table, attachments)
            .where((table.c.owner_id == owner_id) & _ENDED)
            .group_by(table.c.generation_id)
            .order_by(table.c.ended_at)
        )
        chosen, freed = [], 0
        for generation_id, its_size in rows:
            if freed >= size:
                break
            chosen.append(generation_id)
            freed += int(its_size)
        await self._forget(chosen)
        return freed

    async def forget_older(self, age: timedelta) -> int:
        """Forgets what ended so long ago, a hundred generations at once; how many."""
        long_ago = sa.func.clock_timestamp() - age
        rows = await self._connection.execute(
            sa.select(table.c.generation_id)
            .where(_ENDED & (table.c.ended_at < long_ago))
            .order_by(table.c.ended_at)
            .limit(_AT_ONCE)
            # Another replica may be at the same.
            .with_for_update(skip_locked=True)
        )
        found = list(rows.scalars())
        await self._forget(found)
        return len(found)

    async def _forget(self, ids: Sequence[str]) -> None:
        if not ids:
            return
        # The rows first, which the sweep locks first too: no two forget the same in different orders.
        await self._connection.execute(
            sa.update(table).where(table.c.generation_id.in_(ids)).values(forgotten=True)
        )
        await self._connection.execute(
            sa.update(attachments).where(attachments.c.generation_id.in_(ids)).values(content=None)
        )
        await self._connection.execute(sa.delete(messages).where(messages.c.generation_id.in_(ids)))
