"""Places in a user's queue, told in the events of those who wait."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.generation.model import Status
from services.generation.repository.events import Entry
from services.generation.repository.wakeups import CHANNEL, events_of
from services.generation.tables import generations as table

_TELL = sa.text(
    """
    WITH told AS (
        UPDATE generations g SET last_sequence = g.last_sequence + 1, queue_position = m.place
        FROM unnest(:ids, :places, :kinds, :payloads) AS m (generation_id, place, kind, payload)
        WHERE g.generation_id = m.generation_id AND g.status = 'queued'
        RETURNING g.generation_id, g.last_sequence, m.kind, m.payload
    ), logged AS (
        INSERT INTO generation_events (generation_id, sequence, kind, payload)
        SELECT generation_id, last_sequence, kind, payload FROM told RETURNING generation_id
    )
    SELECT pg_notify(:channel, :prefix || generation_id) FROM logged
    """
).bindparams(
    sa.bindparam("ids", type_=sa.ARRAY(sa.Text)),
    sa.bindparam("places", type_=sa.ARRAY(sa.Integer)),
    sa.bindparam("kinds", type_=sa.ARRAY(sa.Text)),
    sa.bindparam("payloads", type_=sa.ARRAY(sa.LargeBinary)),
)


class Positions:
    """One user's generations that wait, in the order of asking."""

    def __init__(self, connection: AsyncConnection) -> None:
        """On a connection with a transaction in which the owner is locked: nobody is added meanwhile."""
        self._connection = connection

    async def moved(self, owner_id: str) -> dict[str, int]:
        """Those whose place is not the one that was told last, with their place now. Their rows are locked."""
        rows = await self._connection.execute(
            sa.select(table.c.generation_id, table.c.created_at, table.c.queue_position)
            .where((table.c.owner_id == owner_id) & (table.c.status == Status.QUEUED))
            # Whoever locks several locks them in this order.
            .order_by(table.c.generation_id)
            .with_for_update()
        )
        waiting = sorted(rows.all(), key=lambda row: (row.created_at, row.generation_id))
        return {
            row.generation_id: position
            for position, row in enumerate(waiting)
            if row.queue_position != position
        }

    async def tell(self, moved: Mapping[str, tuple[int, Entry]]) -> None:
        """Adds each one's entry to its log, remembers the place that it tells, and wakes who watches."""
        if not moved:
            return
        places, entries = zip(*moved.values(), strict=True)
        kinds, payloads = zip(*entries, strict=True)
        values = {
            "ids": list(moved),
            "places": list(places),
            "kinds": list(kinds),
            "payloads": list(payloads),
            "channel": CHANNEL,
            "prefix": events_of(""),
        }
        await self._connection.execute(_TELL, values)
