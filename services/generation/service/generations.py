"""Looking at generations, and cancelling them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from kit.db import Database
from kit.errors import Invalid, NotFound
from kit.paging import page_position, page_size, page_token
from services.generation.convert import event_entry
from services.generation.model import Cancelled, Job, Status
from services.generation.peers import Projects
from services.generation.repository import Attachments, Events, Jobs
from services.generation.repository.wakeups import notify, orders_for
from services.generation.service.positions import tell_positions

# A generation has a prompt of up to 32 KiB and findings: a page has to fit into one message.
_PAGE, _LARGEST_PAGE = 50, 100


class Generations:
    """GetGeneration, ListGenerations, CancelGeneration."""

    def __init__(self, database: Database, projects: Projects) -> None:
        """``projects`` says whether a project is the caller's."""
        self._database = database
        self._projects = projects

    async def get(self, owner_id: str, generation_id: str) -> Job:
        """Raises ``NotFound``."""
        async with self._database.begin() as connection:
            found = _found(await Jobs(connection).get(owner_id, generation_id))
            return await _told(connection, found)

    async def page(
        self, owner_id: str, project_id: str, size: int, token: str
    ) -> tuple[Sequence[Job], str]:
        """A page, newest first, and the token for the next one; empty on the last."""
        before = _position(token)
        await self._projects.check(project_id)
        limit = page_size(size, _PAGE, _LARGEST_PAGE)
        async with self._database.begin() as connection:
            found = await Jobs(connection).page(owner_id, project_id, before, limit + 1)
            shown = await Attachments(connection).told(found[:limit])
        if len(found) <= limit:
            return shown, ""
        last = shown[-1]
        return shown, page_token(last.created_at.isoformat(), last.generation_id)

    async def cancel(self, owner_id: str, generation_id: str) -> Job:
        """Ends a waiting one at once and asks the worker of a running one to stop. Raises ``NotFound``."""
        async with self._database.begin() as connection:
            jobs = Jobs(connection)
            job = _found(await jobs.get(owner_id, generation_id, lock=True))
            if job.status is Status.QUEUED:
                await end_queued(Events(connection), job)
            elif job.status is Status.RUNNING:
                await jobs.request_cancel(generation_id)
                await notify(connection, orders_for(generation_id))
            found = await _told(connection, _found(await jobs.get(owner_id, generation_id)))
        if job.status is Status.QUEUED:
            await tell_positions(self._database, owner_id)
        return found


async def end_queued(events: Events, job: Job) -> None:
    """Cancels a generation that no worker has begun."""
    last = event_entry(Cancelled(0, job.usage))
    await events.end(job.generation_id, job.epoch, Status.CANCELLED, [last])


async def _told(connection: AsyncConnection, job: Job) -> Job:
    (told,) = await Attachments(connection).told([job])
    return told


def _found(job: Job | None) -> Job:
    if job is None:
        raise NotFound("there is no such generation", reason="GENERATION_NOT_FOUND")
    return job


def _position(token: str) -> tuple[datetime, str] | None:
    position = page_position(token, str, str)
    if position is None:
        return None
    try:
        moment = datetime.fromisoformat(str(position[0]))
    except ValueError as exc:
        raise Invalid.field("page_token", "is not a token that this server gave") from exc
    if moment.tzinfo is None:
        raise Invalid.field("page_token", "is not a token that this server gave")
    return moment, str(position[1])
