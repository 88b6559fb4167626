"""What the projects service is to be told of sandboxes, until it knows."""

from __future__ import annotations

from sqlalchemy import case, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.sandbox.model import Report, Sandbox, Status
from services.sandbox.tables import reports, sandboxes

CHANNEL = "sandbox"
"""Postgres channel that tells each change, with the project's id."""


class ReportRepository:
    """One report a project, inside one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        """Everything happens in this connection's transaction."""
        self.connection = connection

    async def changed(self, sandbox: Sandbox) -> None:
        """One more thing to report. The row's lock puts a project's changes in order."""
        statement = insert(reports).values(
            project_id=sandbox.project_id, owner_id=sandbox.owner_id, revision=1
        )
        statement = statement.on_conflict_do_update(
            index_elements=[reports.c.project_id], set_={"revision": reports.c.revision + 1}
        )
        await self.connection.execute(statement)
        await self.connection.execute(select(func.pg_notify(CHANNEL, sandbox.project_id)))

    async def waiting_report(self, project_id: str) -> Report | None:
        """What the projects service does not know yet of this project's sandbox."""
        query = (
            select(
                reports.c.revision,
                reports.c.owner_id,
                sandboxes.c.sandbox_id,
                # Until it runs again it sleeps.
                case(
                    (sandboxes.c.status != Status.CREATING, sandboxes.c.status),
                    (sandboxes.c.paused_at.is_not(None), Status.PAUSED.value),
                    else_=sandboxes.c.status,
                ).label("status"),
            )
            .join(sandboxes, sandboxes.c.project_id == reports.c.project_id)
            .where(
                reports.c.project_id == project_id,
                reports.c.reported_revision < reports.c.revision,
            )
            .order_by(sandboxes.c.sandbox_id.desc())
            .limit(1)
        )
        row = (await self.connection.execute(query)).one_or_none()
        if row is None:
            return None
        return Report(project_id, row.owner_id, row.sandbox_id, Status(row.status), row.revision)

    async def waiting_projects(self, limit: int) -> list[str]:
        """Projects of whose sandboxes there is something to report."""
        query = (
            select(reports.c.project_id)
            .where(reports.c.reported_revision < reports.c.revision)
            .limit(limit)
        )
        return list((await self.connection.execute(query)).scalars().all())

    async def reported(self, project_id: str, revision: int) -> None:
        """The projects service knows of everything up to this revision."""
        statement = (
            update(reports)
            .where(reports.c.project_id == project_id, reports.c.reported_revision < revision)
            .values(reported_revision=revision)
        )
        await self.connection.execute(statement)
