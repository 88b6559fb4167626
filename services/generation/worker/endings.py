"""How a generation ends: the version is kept, what must not stay is taken back, and the last event is written.

Every step may be repeated, so a worker that goes on after a lost one comes to the same end.
"""

from __future__ import annotations

from typing import Any

import structlog

from kit.errors import Conflict, NotFound, ServiceError
from services.generation.agent.prompt import title_of
from services.generation.convert import check_of, files_told
from services.generation.model import (
    Cancelled,
    Check,
    Failed,
    Failure,
    FileDeleted,
    FileWritten,
    Job,
    Sandbox,
    Succeeded,
    Usage,
)
from services.generation.peers import Origin, Receipt, Version
from services.generation.repository import Events, Jobs, own_of_all
from services.generation.worker.journal import STALE_EPOCH, Journal, LeaseLost
from services.generation.worker.patience import PASSING, patiently
from services.generation.worker.surroundings import Surroundings

_log = structlog.get_logger(__name__)
NO_FILES = Failure("NO_FILES", "The model ended without writing a file.")
SERVICE_UNAVAILABLE = Failure(
    "SERVICE_UNAVAILABLE", "The platform could not reach one of its services."
)


class Endings:
    """Ends one job."""

    def __init__(self, around: Surroundings, job: Job, journal: Journal, *, started: bool) -> None:
        """``job`` as it was claimed; ``started``: it may have written something."""
        self._around = around
        self._job = job
        self._journal = journal
        self._started = started
        self._patience = around.settings.ending_patience_seconds

    async def succeed(self, usage: Usage, sandbox: Sandbox) -> None:
        """The files become the project's head."""
        try:
            version = await self._commit(usage, partial=False, keep_head=False)
        except PASSING:
            await self.fail(SERVICE_UNAVAILABLE, usage)
            return
        if version is None:
            await self.fail(NO_FILES, usage)
            return
        untold = await self._untold(version.number)
        told, _ = await self._told_and_own()
        told |= {event.path: getattr(event, "sha256", "") for event in untold}
        count = sum(1 for sha256 in told.values() if sha256)
        last = Succeeded(version.number, usage, sandbox, count)
        await self._journal.end(*untold, last=last, version=version.number)

    async def cancel(self, usage: Usage) -> None:
        """What was written becomes the head, marked partial."""
        number = await self._kept(usage, keep_head=False)
        untold = await self._untold(number)
        await self._journal.end(*untold, last=Cancelled(number, usage), version=number)

    async def fail(self, failure: Failure, usage: Usage) -> None:
        """The head stays, unless the work is to be kept; what was written stays as a version marked partial."""
        values: dict[str, Any] = {
            "failure_reason": failure.reason,
            "failure_message": failure.message,
            "failure_keeps_work": failure.keeps_work,
        }
        # Decided before it is carried out: who goes on after us must not try to succeed with a project set back.
        await self._journal.write(**values)
        number = await self._kept(usage, keep_head=not failure.keeps_work)
        if not failure.keeps_work:
            await self._discard()
        last = Failed(failure, usage, number)
        untold = await self._untold(number)
        await self._journal.end(*untold, last=last, version=number, **values)

    async def _kept(self, usage: Usage, *, keep_head: bool) -> int:
        """Number of the partial version, 0 where nothing was written or it can't be kept."""
        if not self._started:
            # What differs from the head is the user's own, and no version yet: it stays as it is.
            return 0
        try:
            version = await self._commit(usage, partial=True, keep_head=keep_head)
        except ServiceError as exc:
            _log.error("partial version not kept", reason=exc.reason)
            return 0
        return version.number if version and version.made else 0

    async def _commit(self, usage: Usage, *, partial: bool, keep_head: bool) -> Version | None:
        origin = Origin(self._job.generation_id, self._job.epoch)
        title = title_of(self._job.prompt)
        job, projects = self._job, self._around.projects
        receipt = Receipt(job.model, usage, await self._check())
        try:
            return await patiently(
                lambda: projects.commit(
                    job.project_id, origin, title, receipt, partial=partial, keep_head=keep_head
                ),
                self._patience,
            )
        except NotFound:
            # The project was deleted meanwhile.
            return None
        except Conflict as exc:
            if exc.reason != STALE_EPOCH:
                raise
            raise LeaseLost from exc

    async def _check(self) -> Check | None:
        async with self._around.database.begin() as connection:
            return check_of(await Jobs(connection).check_result(self._job.generation_id))

    async def _untold(self, version: int) -> list[FileDeleted | FileWritten]:
        """What the log does not say rightly of the version's files.

        A worker can be lost between a file that arrived and the event about it. The version was made under our epoch,
        so nothing of that worker's arrives any more.
        """
        if self._job.epoch == 1 or not version:
            return []
        projects, project_id = self._around.projects, self._job.project_id
        try:
            found = await patiently(lambda: projects.manifest(project_id, version), self._patience)
        except ServiceError as exc:
            _log.error("files not compared with the log", reason=exc.reason)
            return []
        told, own = await self._told_and_own()
        files = {file.path for file in found}
        gone = [FileDeleted(path) for path, sha in told.items() if sha and path not in files]
        changed = [
            FileWritten(file.path, file.size_bytes, file.sha256)
            for file in found
            if told.get(file.path) != file.sha256
            and (file.path in told or file.sha256 in own.get(file.path, ()))
        ]
        return [*gone, *changed]

    async def _told_and_own(self) -> tuple[dict[str, str], dict[str, set[str]]]:
        """What the log says of files, and what any agent wrote or was about to write."""
        generation_id = self._job.generation_id
        async with self._around.database.begin() as connection:
            told = files_told(await Events(connection).of_files(generation_id))
            return told, await own_of_all(connection, generation_id)

    async def _discard(self) -> None:
        job, sandboxes = self._job, self._around.sandboxes
        try:
            await patiently(
                lambda: sandboxes.discard(job.project_id, job.generation_id), self._patience
            )
        except ServiceError as exc:
            _log.error("sandbox not closed", reason=exc.reason)
