"""What came along with prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.generation.model import Attachment, AttachmentInfo, Job
from services.generation.tables import attachments as table


class Attachments:
    """They go with their generation."""

    def __init__(self, connection: AsyncConnection) -> None:
        """On a connection with a transaction."""
        self._connection = connection

    async def add(self, generation_id: str, added: Sequence[Attachment]) -> None:
        """Keeps them, in their order."""
        rows = [
            {
                "generation_id": generation_id,
                "position": position,
                "name": one.name,
                "media_type": one.media_type,
                "size_bytes": len(one.content),
                "content": one.content,
            }
            for position, one in enumerate(added)
        ]
        if rows:
            await self._connection.execute(sa.insert(table), rows)

    async def of(self, generation_id: str) -> list[Attachment]:
        """All of one generation that has not ended, with their content."""
        rows = await self._connection.execute(
            sa.select(table.c.name, table.c.media_type, table.c.content)
            .where((table.c.generation_id == generation_id) & table.c.content.is_not(None))
            .order_by(table.c.position)
        )
        return [Attachment(*row) for row in rows]

    async def told(self, jobs: Sequence[Job]) -> list[Job]:
        """The generations with what is told of their attachments."""
        rows = await self._connection.execute(
            sa.select(table.c.generation_id, table.c.name, table.c.media_type, table.c.size_bytes)
            .where(table.c.generation_id.in_([job.generation_id for job in jobs]))
            .order_by(table.c.generation_id, table.c.position)
        )
        found: dict[str, list[AttachmentInfo]] = {}
        for generation_id, *info in rows:
            found.setdefault(generation_id, []).append(AttachmentInfo(*info))
        return [replace(job, attachments=tuple(found.get(job.generation_id, ()))) for job in jobs]
