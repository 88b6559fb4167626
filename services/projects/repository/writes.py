"""What is remembered of writes: how far each generation's lease has come, and what each operation answered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.projects.tables import fences, operations


@dataclass(frozen=True, slots=True)
class Fence:
    """How far a generation has come in a project."""

    epoch: int
    """The highest lease number that has written."""
    committed_epoch: int | None
    """The lease number that committed; ``None`` before."""
    committed_version: int
    """What the commit answered; 0 where the project had no version."""
    committed_created: bool


class WritesRepository:
    """SQL of one project's writes. The caller holds the project's lock."""

    def __init__(self, connection: AsyncConnection, project_id: str) -> None:
        """Works in the connection's transaction."""
        self._connection = connection
        self._project_id = project_id

    async def fence(self, generation_id: str, epoch: int) -> Fence:
        """How far the generation has come, this lease number included."""
        raised = upsert(fences).values(
            project_id=self._project_id, generation_id=generation_id, epoch=epoch
        )
        statement = raised.on_conflict_do_update(
            index_elements=[fences.c.project_id, fences.c.generation_id],
            set_={"epoch": func.greatest(fences.c.epoch, raised.excluded.epoch)},
        ).returning(fences)
        row = (await self._connection.execute(statement)).one()
        return Fence(
            epoch=row.epoch,
            committed_epoch=row.committed_epoch,
            committed_version=row.committed_version or 0,
            committed_created=bool(row.committed_created),
        )

    async def committed(
        self, generation_id: str, epoch: int, version: int, *, created: bool
    ) -> None:
        """Remembers what a generation's commit answered."""
        await self._connection.execute(
            update(fences)
            .where(fences.c.project_id == self._project_id, fences.c.generation_id == generation_id)
            .values(committed_epoch=epoch, committed_version=version, committed_created=created)
        )

    async def answered(self, operation_id: str) -> tuple[str, dict[str, Any]] | None:
        """The hash of the request of an operation and what it answered."""
        statement = select(operations).where(
            operations.c.project_id == self._project_id,
            operations.c.operation_id == operation_id,
        )
        row = (await self._connection.execute(statement)).one_or_none()
        return (row.request_sha256, row.answer) if row else None

    async def remember(
        self, operation_id: str, request_sha256: str, answer: dict[str, Any]
    ) -> None:
        """Remembers what an operation answered."""
        await self._connection.execute(
            insert(operations).values(
                project_id=self._project_id,
                operation_id=operation_id,
                request_sha256=request_sha256,
                answer=answer,
            )
        )

    async def forget(self, older_than_seconds: int) -> None:
        """Forgets the answers of the project's old operations."""
        await self._connection.execute(
            delete(operations).where(
                operations.c.project_id == self._project_id,
                operations.c.created_at < func.now() - timedelta(seconds=older_than_seconds),
            )
        )
