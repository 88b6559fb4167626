"""Projects: made, listed, described, deleted, and what their sandboxes do."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import orjson
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from kit.db import Database
from kit.errors import Conflict, NotFound, QuotaExceeded
from kit.ids import new_id
from services.projects.model import ChangeKind, Project, SandboxStatus
from services.projects.repository.accounts import AccountsRepository
from services.projects.repository.changes import ChangesRepository
from services.projects.repository.projects import ProjectsRepository
from services.projects.service.accounts import gone

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Projects:
    """What users do with projects as wholes."""

    database: Database
    max_projects: int

    async def create(
        self,
        owner_id: str,
        name: str,
        description: str,
        idempotency_key: str,
        *,
        persistent_sandbox: bool = False,
        model: str = "",
    ) -> Project:
        """A new project, or the one that the key made before.

        Raises ``Conflict`` for a key that was used with another body, ``QuotaExceeded`` at the limit.
        """
        asked = [name, description, persistent_sandbox, model]
        request = hashlib.sha256(orjson.dumps(asked)).hexdigest()
        async with self.database.begin() as connection:
            # One user's projects are made one after another: neither the key nor the limit can be raced.
            if not await AccountsRepository(connection).lock_user(owner_id):
                raise gone()
            projects = ProjectsRepository(connection)
            if known := await self._made_before(projects, owner_id, idempotency_key, request):
                return known
            await self._check_quota(projects, owner_id)
            return await projects.add(
                new_id("prj"),
                owner_id,
                name,
                description,
                persistent_sandbox=persistent_sandbox,
                model=model,
                idempotency_key=idempotency_key or None,
                request_sha256=request,
            )

    async def page(self, owner_id: str, before: str | None, size: int) -> list[Project]:
        """A user's projects, newest first."""
        async with self.database.begin() as connection:
            return await ProjectsRepository(connection).page(owner_id, before, size)

    async def get(self, owner_id: str, project_id: str) -> Project:
        """A user's project. Raises ``NotFound``."""
        async with self.database.begin() as connection:
            return await owned(connection, owner_id, project_id)

    async def update(
        self, owner_id: str, project_id: str, changed: dict[str, str | bool]
    ) -> Project:
        """Changes some, all or none of ``name``, ``description``, ``persistent_sandbox``, ``model``.

        Tells followers of the flag. Raises ``NotFound``.
        """
        async with self.database.begin() as connection:
            before = await owned(connection, owner_id, project_id, lock=True)
            if not changed:
                return before
            project = await ProjectsRepository(connection).describe(owner_id, project_id, changed)
            if project is None:
                raise project_not_found()
            if project.persistent_sandbox != before.persistent_sandbox:
                await ChangesRepository(connection).add(project, ChangeKind.PROJECT_UPDATED)
        return project

    async def delete(self, owner_id: str, project_id: str) -> None:
        """Deletes a project and tells those who follow. Raises ``NotFound``.

        Content that nobody refers to any more stays in the store.
        """
        async with self.database.begin() as connection:
            project = await owned(connection, owner_id, project_id, lock=True)
            await ProjectsRepository(connection).delete(project_id)
            await ChangesRepository(connection).add(project, ChangeKind.PROJECT_DELETED)
        _log.info("project deleted", project_id=project_id)

    async def report_sandbox(
        self,
        owner_id: str,
        project_id: str,
        sandbox_id: str,
        status: SandboxStatus,
        revision: int,
    ) -> None:
        """Notes what a project's sandbox does; an older report than the last is ignored. Raises ``NotFound``.

        Without an owner (``""``) the sandbox service reports for itself.
        """
        async with self.database.begin() as connection:
            known = await ProjectsRepository(connection).report_sandbox(
                owner_id, project_id, sandbox_id, status, revision
            )
        if not known:
            raise project_not_found()

    async def _made_before(
        self, projects: ProjectsRepository, owner_id: str, key: str, request: str
    ) -> Project | None:
        found = await projects.by_key(owner_id, key) if key else None
        if found is None:
            return None
        project, made_by = found
        if made_by != request:
            raise Conflict(
                "idempotency_key: was used for another project", reason="IDEMPOTENCY_CONFLICT"
            )
        return project

    async def _check_quota(self, projects: ProjectsRepository, owner_id: str) -> None:
        used = await projects.count(owner_id)
        if used >= self.max_projects:
            raise QuotaExceeded(
                f"a user has at most {self.max_projects} projects",
                reason="PROJECT_QUOTA",
                metadata={"limit": str(self.max_projects), "used": str(used)},
            )


async def owned(
    connection: AsyncConnection, owner_id: str, project_id: str, *, lock: bool = False
) -> Project:
    """A user's project, locked against other writers where asked. Raises ``NotFound``, also for another's."""
    project = await ProjectsRepository(connection).find(owner_id, project_id, lock=lock)
    if project is None:
        raise project_not_found()
    return project


def project_not_found() -> NotFound:
    """The error for a project that is not there or somebody else's: the two can't be told apart."""
    return NotFound("there is no such project", reason="PROJECT_NOT_FOUND")
