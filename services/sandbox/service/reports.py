"""Telling the projects service what a project's sandbox is doing."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog

from kit.context import acting_for
from kit.db import Database
from kit.errors import NotFound, ServiceError
from services.sandbox.projects_peer import ProjectsPeer
from services.sandbox.report_repository import ReportRepository

_log = structlog.get_logger(__name__)
_BATCH = 500


class Reports:
    """Sends what has changed; what could not be sent stays noted and is sent again by the sweep."""

    def __init__(self, database: Database, projects: ProjectsPeer, wait_seconds: float) -> None:
        """``wait_seconds``: how long ``tell`` waits for the projects service."""
        self._database = database
        self._projects = projects
        self._wait_seconds = wait_seconds
        self._sending: set[asyncio.Task[None]] = set()

    async def tell(self, project_id: str) -> None:
        """Reports a project's sandbox; returns when it is known, or a moment later when it is still on its way."""
        task = asyncio.create_task(self._send(project_id))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)
        await asyncio.wait([task], timeout=self._wait_seconds)

    async def retry(self) -> int:
        """Sends all that waits; how many those were."""
        async with self._database.begin() as connection:
            waiting = await ReportRepository(connection).waiting_projects(_BATCH)
        for project_id in waiting:
            await self._send(project_id)
        return len(waiting)

    async def finish(self) -> None:
        """Waits for what is on its way."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._wait_seconds):
                await asyncio.gather(*self._sending, return_exceptions=True)

    async def _send(self, project_id: str) -> None:
        try:
            async with self._database.begin() as connection:
                report = await ReportRepository(connection).waiting_report(project_id)
            if report is None:
                return
            with acting_for(report.owner_id, "sandbox"), suppress(NotFound):
                # A project that is gone needs to know nothing.
                await self._projects.report(report)
            async with self._database.begin() as connection:
                await ReportRepository(connection).reported(project_id, report.revision)
        except (ServiceError, OSError) as exc:
            _log.warning("report failed", project=project_id, error=type(exc).__name__)
        except Exception:  # noqa: BLE001 - in the background nobody else would tell
            _log.exception("report failed", project=project_id)
