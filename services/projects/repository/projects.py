"""Projects themselves."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.projects.model import Project, SandboxStatus
from services.projects.tables import projects


class ProjectsRepository:
    """SQL of projects. Every query that answers a caller has the owner in it."""

    def __init__(self, connection: AsyncConnection) -> None:
        """Works in the connection's transaction."""
        self._connection = connection

    async def add(
        self,
        project_id: str,
        owner_id: str,
        name: str,
        description: str,
        *,
        persistent_sandbox: bool,
        model: str,
        idempotency_key: str | None,
        request_sha256: str,
    ) -> Project:
        """A new, empty project."""
        statement = (
            insert(projects)
            .values(
                project_id=project_id,
                owner_id=owner_id,
                name=name,
                description=description,
                persistent_sandbox=persistent_sandbox,
                model=model,
                idempotency_key=idempotency_key,
                request_sha256=request_sha256,
            )
            .returning(projects)
        )
        return _project((await self._connection.execute(statement)).one())

    async def by_key(self, owner_id: str, idempotency_key: str) -> tuple[Project, str] | None:
        """The project that was made with a key, and the hash of the request that made it."""
        statement = select(projects).where(
            projects.c.owner_id == owner_id, projects.c.idempotency_key == idempotency_key
        )
        row = (await self._connection.execute(statement)).one_or_none()
        return (_project(row), row.request_sha256) if row else None

    async def count(self, owner_id: str) -> int:
        """How many projects a user has."""
        statement = (
            select(func.count()).select_from(projects).where(projects.c.owner_id == owner_id)
        )
        return int((await self._connection.execute(statement)).scalar_one())

    async def find(self, owner_id: str, project_id: str, *, lock: bool = False) -> Project | None:
        """A user's project; with ``lock`` others who lock it wait until the transaction ends."""
        statement = select(projects).where(
            projects.c.owner_id == owner_id, projects.c.project_id == project_id
        )
        if lock:
            statement = statement.with_for_update()
        row = (await self._connection.execute(statement)).one_or_none()
        return _project(row) if row else None

    async def page(self, owner_id: str, before: str | None, size: int) -> list[Project]:
        """A user's projects, newest first, beginning after the project ``before``."""
        statement = (
            select(projects)
            .where(projects.c.owner_id == owner_id)
            .order_by(projects.c.project_id.desc())
            .limit(size)
        )
        if before is not None:
            statement = statement.where(projects.c.project_id < before)
        return [_project(row) for row in await self._connection.execute(statement)]

    async def describe(
        self, owner_id: str, project_id: str, changed: dict[str, str | bool]
    ) -> Project | None:
        """Changes columns that describe a project; ``None`` where the user has no such project."""
        statement = (
            update(projects)
            .where(projects.c.owner_id == owner_id, projects.c.project_id == project_id)
            .values(**changed, updated_at=func.now())
            .returning(projects)
        )
        row = (await self._connection.execute(statement)).one_or_none()
        return _project(row) if row else None

    async def delete(self, project_id: str) -> None:
        """Deletes a project with its files and versions."""
        await self._connection.execute(delete(projects).where(projects.c.project_id == project_id))

    async def set_files(self, project_id: str, file_count: int, size_bytes: int) -> None:
        """Notes what a project's files amount to after a change of them."""
        await self._connection.execute(
            update(projects)
            .where(projects.c.project_id == project_id)
            .values(file_count=file_count, size_bytes=size_bytes, updated_at=func.now())
        )

    async def set_versions(self, project_id: str, head: int, last: int) -> None:
        """Moves a project's head, or only the highest number given."""
        await self._connection.execute(
            update(projects)
            .where(projects.c.project_id == project_id)
            .values(head_version=head, last_version=last)
        )

    async def report_sandbox(
        self,
        owner_id: str,
        project_id: str,
        sandbox_id: str,
        status: SandboxStatus,
        revision: int,
    ) -> bool:
        """Notes what a sandbox does, unless something newer is known; false where there is no such project."""
        mine = [projects.c.project_id == project_id]
        if owner_id:
            mine.append(projects.c.owner_id == owner_id)
        newer = (
            update(projects)
            .where(*mine, projects.c.sandbox_revision < revision)
            .values(sandbox_id=sandbox_id, sandbox_status=status.value, sandbox_revision=revision)
        )
        if (await self._connection.execute(newer)).rowcount:
            return True
        known = await self._connection.execute(select(projects.c.project_id).where(*mine))
        return known.one_or_none() is not None


def _project(row: Row[Any]) -> Project:
    return Project(
        project_id=row.project_id,
        owner_id=row.owner_id,
        name=row.name,
        description=row.description,
        head_version=row.head_version,
        last_version=row.last_version,
        sandbox_id=row.sandbox_id,
        sandbox_status=SandboxStatus(row.sandbox_status),
        file_count=row.file_count,
        size_bytes=row.size_bytes,
        created_at=row.created_at,
        updated_at=row.updated_at,
        persistent_sandbox=row.persistent_sandbox,
        model=row.model,
    )
