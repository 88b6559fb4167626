"""What a conversation knows of the project's files, so that a worker who goes on knows the same."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.generation.model import Seen
from services.generation.tables import known_files, own_files


class KnownFiles:
    """One conversation's. Writing is fenced by the same transaction's update of the row."""

    def __init__(self, connection: AsyncConnection, generation_id: str, agent: str = "") -> None:
        """On a connection with a transaction."""
        self._connection = connection
        self._of = {"generation_id": generation_id, "agent": agent}

    async def seen(self) -> dict[str, Seen]:
        """What was seen last of each path."""
        table = known_files
        rows = await self._connection.execute(
            sa.select(table.c.path, table.c.sha256, table.c.shown).filter_by(**self._of)
        )
        return {path: Seen(sha256, shown) for path, sha256, shown in rows}

    async def own(self) -> dict[str, set[str]]:
        """The hashes that it wrote, or was about to write, by path."""
        return await _own(self._connection, **self._of)

    async def put_seen(self, seen: Mapping[str, Seen], gone: Collection[str]) -> None:
        """Notes what is seen now, and forgets the paths that are gone."""
        table = known_files
        if gone:
            where = table.c.path.in_(gone)
            await self._connection.execute(sa.delete(table).filter_by(**self._of).where(where))
        if not seen:
            return
        rows = [
            {**self._of, "path": path, "sha256": one.sha256, "shown": one.shown}
            for path, one in seen.items()
        ]
        adding = insert(table)
        changed = {"sha256": adding.excluded.sha256, "shown": adding.excluded.shown}
        await self._connection.execute(
            adding.on_conflict_do_update(constraint=table.primary_key, set_=changed), rows
        )

    async def add_own(self, path: str, sha256: str) -> None:
        """Notes what is about to be written."""
        row = {**self._of, "path": path, "sha256": sha256}
        await self._connection.execute(insert(own_files).values(row).on_conflict_do_nothing())


async def own_of_all(connection: AsyncConnection, generation_id: str) -> dict[str, set[str]]:
    """The hashes that any of a generation's agents wrote, or was about to write, by path."""
    return await _own(connection, generation_id=generation_id)


async def _own(connection: AsyncConnection, **of: str) -> dict[str, set[str]]:
    table = own_files
    rows = await connection.execute(sa.select(table.c.path, table.c.sha256).filter_by(**of))
    found: dict[str, set[str]] = {}
    for path, sha256 in rows:
        found.setdefault(path, set()).add(sha256)
    return found
