"""The log of events. Sequence numbers are given under the generation's row, so they are contiguous and in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.generation.model import Status, sources
from services.generation.repository.queue import owned
from services.generation.repository.wakeups import QUEUE, events_of, notify
from services.generation.tables import events as log
from services.generation.tables import generations as table


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """One event of the log."""

    sequence: int
    kind: str
    payload: bytes
    created_at: datetime


Entry = tuple[str, bytes]
"""Kind and payload of an event."""


class Events:
    """Adds to a generation's log and reads it."""

    def __init__(self, connection: AsyncConnection) -> None:
        """On a connection with a transaction."""
        self._connection = connection

    async def append(
        self, generation_id: str, epoch: int, entries: Sequence[Entry], **values: Any
    ) -> int | None:
        """Adds events and sets columns of the row, for the worker that owns it.

        The last sequence number; ``None``, and nothing is written, where the generation is somebody else's by now.
        """
        return await self._append(owned(generation_id, epoch), generation_id, entries, values)

    async def add_first(self, generation_id: str, entry: Entry) -> None:
        """The first event of a generation that was made in this transaction."""
        where = table.c.generation_id == generation_id
        await self._append(where, generation_id, [entry], {})

    async def end(
        self,
        generation_id: str,
        epoch: int,
        status: Status,
        entries: Sequence[Entry],
        **values: Any,
    ) -> int | None:
        """The same with the last event, and the state that it leaves behind."""
        where = (
            (table.c.generation_id == generation_id)
            & (table.c.epoch == epoch)
            & table.c.status.in_(sources(status))
        )
        # A failure that was decided on before the generation ended another way is not its failure.
        ending: Mapping[str, Any] = {
            "failure_reason": "",
            "failure_message": "",
            **values,
            "status": status,
            "ended_at": sa.func.clock_timestamp(),
            "lease_until": None,
            "reserved_usd": 0,
        }
        last = await self._append(where, generation_id, entries, ending)
        if last is not None:
            await notify(self._connection, QUEUE)
        return last

    async def after(self, generation_id: str, sequence: int, limit: int) -> list[LoggedEvent]:
        """The next events behind a sequence number."""
        rows = await self._connection.execute(
            sa.select(log.c.sequence, log.c.kind, log.c.payload, log.c.created_at)
            .where((log.c.generation_id == generation_id) & (log.c.sequence > sequence))
            .order_by(log.c.sequence)
            .limit(limit)
        )
        return [LoggedEvent(*row) for row in rows]

    async def of_files(self, generation_id: str) -> list[bytes]:
        """Payloads of the events that tell of files written and deleted, in order."""
        return await self.of_kinds(generation_id, "file_written", "file_deleted")

    async def of_kinds(self, generation_id: str, *kinds: str) -> list[bytes]:
        """Payloads of the events of these names, in order."""
        rows = await self._connection.execute(
            sa.select(log.c.payload)
            .where((log.c.generation_id == generation_id) & log.c.kind.in_(kinds))
            .order_by(log.c.sequence)
        )
        return list(rows.scalars())

    async def _append(
        self,
        where: sa.ColumnElement[bool],
        generation_id: str,
        entries: Sequence[Entry],
        values: Mapping[str, Any],
    ) -> int | None:
        counted = table.c.last_sequence + len(entries)
        found = await self._connection.execute(
            sa.update(table)
            .where(where)
            .values(last_sequence=counted, **values)
            .returning(table.c.last_sequence)
        )
        last: int | None = found.scalar_one_or_none()
        if last is None or not entries:
            return last
        first = last - len(entries) + 1
        rows = [
            {
                "generation_id": generation_id,
                "sequence": first + index,
                "kind": kind,
                "payload": payload,
            }
            for index, (kind, payload) in enumerate(entries)
        ]
        await self._connection.execute(sa.insert(log), rows)
        await notify(self._connection, events_of(generation_id))
        return last
