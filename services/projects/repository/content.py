"""The content store: what files hold, by owner and SHA-256, in chunks that can be read one at a time."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import ARRAY, Text, any_, insert, literal, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.projects.model import Content
from services.projects.tables import blob_chunks, blobs

CHUNK_BYTES = 1024 * 1024
"""Every chunk of a content but its last one has this size."""
# A statement of Postgres has at most 32,767 parameters.
_ROWS = 5_000


class ContentRepository:
    """SQL of one owner's content."""

    def __init__(self, connection: AsyncConnection, owner_id: str) -> None:
        """Works in the connection's transaction."""
        self._connection = connection
        self._owner_id = owner_id

    async def claim(self, contents: Iterable[Content]) -> set[str]:
        """Adds what is not there yet and answers its hashes: the caller adds their chunks in this transaction.

        Waits where somebody else is adding the same content.
        """
        # Everybody adds in one order, so that no two wait for each other.
        rows = [
            {"owner_id": self._owner_id, "sha256": content.sha256, "size_bytes": content.size_bytes}
            for content in sorted(contents, key=lambda content: content.sha256)
        ]
        added: set[str] = set()
        for first in range(0, len(rows), _ROWS):
            some = upsert(blobs).values(rows[first : first + _ROWS]).on_conflict_do_nothing()
            found = await self._connection.execute(some.returning(blobs.c.sha256))
            added.update(found.scalars())
        return added

    async def add_chunks(self, chunks: list[tuple[str, int, bytes]]) -> None:
        """Adds chunks: the content's hash, the chunk's position from 0, its bytes."""
        await self._connection.execute(
            insert(blob_chunks),
            [
                {"owner_id": self._owner_id, "sha256": sha256, "position": position, "data": data}
                for sha256, position, data in chunks
            ],
        )

    async def chunk(self, sha256: str, position: int) -> bytes | None:
        """One chunk of a content; ``None`` where there is none."""
        statement = select(blob_chunks.c.data).where(
            blob_chunks.c.owner_id == self._owner_id,
            blob_chunks.c.sha256 == sha256,
            blob_chunks.c.position == position,
        )
        return (await self._connection.execute(statement)).scalar_one_or_none()

    async def first_chunks(self, hashes: Iterable[str]) -> dict[str, bytes]:
        """The first chunks of some contents by their hashes; an empty content has none."""
        statement = select(blob_chunks.c.sha256, blob_chunks.c.data).where(
            blob_chunks.c.owner_id == self._owner_id,
            blob_chunks.c.sha256 == any_(literal(list(hashes), ARRAY(Text))),
            blob_chunks.c.position == 0,
        )
        return {row.sha256: row.data for row in await self._connection.execute(statement)}
