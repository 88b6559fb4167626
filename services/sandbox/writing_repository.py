"""Who writes into a sandbox, and whether its files are the store's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ARRAY, Text, cast, func, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.sandbox.model import Sandbox
from services.sandbox.repository import ACTIVE, COLUMNS, OPEN, first_of, settled
from services.sandbox.tables import epochs, sandboxes


class WritingRepository:
    """Notes about writes, inside one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        """Everything happens in this connection's transaction."""
        self.connection = connection

    async def highest_epoch(self, project_id: str, generation_id: str, epoch: int) -> int:
        """The highest lease number that this generation has written with, this one included."""
        statement = insert(epochs).values(
            project_id=project_id, generation_id=generation_id, epoch=epoch
        )
        statement = statement.on_conflict_do_update(
            index_elements=[epochs.c.project_id, epochs.c.generation_id],
            set_={
                "epoch": func.greatest(epochs.c.epoch, statement.excluded.epoch),
                "seen_at": func.now(),
            },
        )
        return int(
            (await self.connection.execute(statement.returning(epochs.c.epoch))).scalar_one()
        )

    async def begin_writing(
        self, project_id: str, owner_id: str, removing: Sequence[str] = ()
    ) -> Sandbox | None:
        """The running sandbox whose files are the store's, from now on noted as unsettled; else ``None``.

        ``removing``: paths that are about to go.
        """
        await self._commit_lightly()
        statement = (
            update(sandboxes)
            .where(
                sandboxes.c.project_id == project_id,
                sandboxes.c.owner_id == owner_id,
                ACTIVE,
                sandboxes.c.expires_at > func.now(),
                ~sandboxes.c.unsettled,
            )
            .values(**_noted(removing), used_at=func.now())
            .returning(*COLUMNS)
        )
        return first_of((await self.connection.execute(statement)).all())

    async def unsettle(
        self, sandbox_id: str, removing: Sequence[str] = (), *, reset: bool = False
    ) -> Sandbox | None:
        """Notes that the sandbox's files may differ from the store's; ``None`` where it is closed.

        ``removing``: paths that are about to go; ``reset``: all that the store has not is to go.
        """
        await self._commit_lightly()
        statement = (
            update(sandboxes)
            .where(sandboxes.c.sandbox_id == sandbox_id, OPEN)
            .values(**_noted(removing), **({"reset": True} if reset else {}))
            .returning(*COLUMNS)
        )
        return first_of((await self.connection.execute(statement)).all())

    async def settle(self, sandbox: Sandbox) -> bool:
        """Notes that the sandbox has the files that the store had when ``sandbox`` was read.

        What was noted since then stays noted. False where the sandbox is not running any more.
        """
        await self._commit_lightly()
        statement = (
            update(sandboxes)
            .where(
                sandboxes.c.sandbox_id == sandbox.sandbox_id,
                sandboxes.c.attempt == sandbox.attempt,
                ACTIVE,
            )
            .values(**settled(sandbox))
        )
        return bool((await self.connection.execute(statement)).rowcount)

    async def _commit_lightly(self) -> None:
        # What is noted must outlive this process, not Postgres' machine: two waits for its disk would be most of
        # what a write takes.
        await self.connection.execute(text("SET LOCAL synchronous_commit = off"))


def _noted(removing: Sequence[str]) -> dict[str, Any]:
    """Columns of a sandbox that is unsettled once more."""
    values: dict[str, Any] = {"unsettled": True, "dirt": sandboxes.c.dirt + 1}
    if removing:
        values["removing"] = sandboxes.c.removing + cast(list(removing), ARRAY(Text))
    return values
