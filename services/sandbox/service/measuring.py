"""What a project's sandbox uses."""

from __future__ import annotations

from kit.db import Database
from services.sandbox.command_repository import CommandRepository
from services.sandbox.model import SITE, Kind, Metrics, Sandbox, Stats, Status
from services.sandbox.projects_peer import ProjectsPeer
from services.sandbox.repository import Repository
from services.sandbox.service.filling import DEPTH
from services.sandbox.service.lifecycle import Lifecycle
from services.sandbox.vendor import PathMissing

_NOTHING = Metrics(0, 0, 0, 0, 0, 0)


class Measuring:
    """Looks at a sandbox without waking it."""

    def __init__(self, database: Database, projects: ProjectsPeer, lifecycle: Lifecycle) -> None:
        """``projects`` tells the files of a sandbox that sleeps."""
        self._database = database
        self._projects = projects
        self._lifecycle = lifecycle

    async def stats(self, project_id: str, owner_id: str) -> Stats:
        """What the project's sandbox uses. Raises ``NotFound`` (SANDBOX_NOT_FOUND)."""
        async with self._database.begin() as connection:
            found = await Repository(connection).opened(project_id, owner_id)
        if found is not None and found.status is Status.PAUSED:
            return await self._asleep(found)
        async with self._lifecycle.using(project_id, owner_id) as (sandbox, live):
            metrics = await live.metrics()
            try:
                entries = await live.list(SITE, DEPTH)
            except PathMissing:
                entries = []
        sizes = [entry.size_bytes for entry in entries if entry.kind is Kind.FILE]
        return await self._counted(sandbox, metrics, sizes)

    async def _asleep(self, sandbox: Sandbox) -> Stats:
        files = await self._projects.list(sandbox.project_id)
        return await self._counted(sandbox, _NOTHING, [one.size_bytes for one in files.values()])

    async def _counted(self, sandbox: Sandbox, metrics: Metrics, sizes: list[int]) -> Stats:
        async with self._database.begin() as connection:
            run = await CommandRepository(connection).count_run(sandbox.sandbox_id)
        return Stats(sandbox, metrics, len(sizes), sum(sizes), run)
