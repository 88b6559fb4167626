"""Following projects' change log: generations of a deleted project end and disappear."""

from __future__ import annotations

import asyncio

import structlog
from sqlalchemy.exc import SQLAlchemyError

from kit.context import acting_for
from kit.db import Database
from kit.errors import ServiceError
from services.generation.model import Status
from services.generation.peers import Projects
from services.generation.repository import Events, Jobs
from services.generation.repository.cursors import Cursors
from services.generation.repository.wakeups import notify, orders_for
from services.generation.service.generations import end_queued
from services.generation.service.positions import tell_positions

_log = structlog.get_logger(__name__)
_SOURCE = "projects"
_RETRY_SECONDS = 0.5


class Changes:
    """Applies each change once or again: both come to the same."""

    def __init__(self, database: Database, projects: Projects) -> None:
        """How far it came is kept in the database."""
        self._database = database
        self._projects = projects

    async def follow(self) -> None:
        """Follows until it is cancelled; a lost connection is taken up where it broke."""
        with acting_for("", "generation"):
            while True:
                try:
                    await self._follow()
                except (ServiceError, SQLAlchemyError, OSError) as exc:
                    _log.info("following projects again", error=type(exc).__name__)
                await asyncio.sleep(_RETRY_SECONDS)

    async def _follow(self) -> None:
        async with self._database.begin() as connection:
            after = await Cursors(connection).get(_SOURCE)
        async for change in self._projects.changes(after):
            if change.deleted:
                await self._deleted(change.project_id)
            async with self._database.begin() as connection:
                await Cursors(connection).advance(_SOURCE, change.sequence)

    async def _deleted(self, project_id: str) -> None:
        async with self._database.begin() as connection:
            jobs = Jobs(connection)
            active = await jobs.of_project(project_id)
            owners = {job.owner_id for job in active}
            for job in active:
                if job.status is Status.QUEUED:
                    await end_queued(Events(connection), job)
                else:
                    await jobs.request_cancel(job.generation_id)
                    await notify(connection, orders_for(job.generation_id))
            await jobs.mark_deleted(project_id)
            await jobs.purge()
        for owner_id in owners:
            await tell_positions(self._database, owner_id)
