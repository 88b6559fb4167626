"""Accepting a prompt: a row in the queue, then a sandbox."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, replace
from decimal import Decimal

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from kit.db import Database
from kit.errors import Conflict, QuotaExceeded, ServiceError
from kit.ids import new_id
from services.generation.convert import event_entry
from services.generation.model import Attachment, Failed, Failure, Job, Mode, Queued, Status
from services.generation.peers import Projects, Sandboxes
from services.generation.repository import Attachments, Events, Jobs, NewJob
from services.generation.repository.wakeups import QUEUE, notify
from services.generation.service.attachments import checked, make_room
from services.generation.service.budget import Budget
from services.generation.service.models import Models
from services.generation.service.positions import tell_positions

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StartRequest:
    """What is asked for, and by whom."""

    owner_id: str
    project_id: str
    prompt: str
    model: str
    """Empty: the project's, or the platform's default."""
    idempotency_key: str
    attachments: tuple[Attachment, ...] = ()
    max_cost_usd: Decimal = Decimal(0)
    """In US dollars; 0: as much as the platform allows."""
    mode: Mode = Mode.SINGLE

    @property
    def body_hash(self) -> str:
        """Tells whether a repeated key asks for the same."""
        cost = str(self.max_cost_usd) if self.max_cost_usd else ""
        parts = (self.project_id, self.prompt, self.model, cost, self.mode)
        framed = [part.encode() for part in parts]
        for one in self.attachments:
            framed += [one.name.encode(), one.media_type.encode(), one.content]
        digest = hashlib.sha256()
        for part in framed:
            digest.update(len(part).to_bytes(4, "big") + part)
        return digest.hexdigest()


class Start:
    """StartGeneration."""

    def __init__(
        self,
        database: Database,
        projects: Projects,
        sandboxes: Sandboxes,
        *,
        models: Models,
        budget: Budget,
        max_queued: int,
        max_attached: int,
        hold_seconds: float,
    ) -> None:
        """Workers leave a new generation alone for ``hold_seconds``, or until its sandbox is there.

        ``max_queued`` generations of a user may wait, and ``max_attached`` bytes of their attachments be kept.
        """
        self._database = database
        self._projects = projects
        self._sandboxes = sandboxes
        self._models = models
        self._budget = budget
        self._max_queued = max_queued
        self._max_attached = max_attached
        self._hold_seconds = hold_seconds
        self._readying: set[asyncio.Task[Job]] = set()

    async def start(self, request: StartRequest) -> Job:
        """The generation, queued, with its sandbox; the same one where the idempotency key is known."""
        request = replace(request, attachments=checked(request.attachments))
        project_model = await self._projects.check(request.project_id)
        model = request.model or project_model or self._models.default
        if not await self._known(request):
            model = await self._models.chosen(model)
        async with self._database.begin() as connection:
            job = await self._accepted(connection, request, model)
        if job.sandbox.sandbox_id or job.status is not Status.QUEUED:
            return job
        # A caller who goes away meanwhile does not leave it half done.
        task = asyncio.create_task(self._readied(job))
        self._readying.add(task)
        task.add_done_callback(self._readying.discard)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Leaves what is not ready yet to a worker."""
        for task in self._readying:
            task.cancel()
        await asyncio.gather(*self._readying, return_exceptions=True)

    async def _known(self, request: StartRequest) -> bool:
        """Whether this was asked before: then nothing of it is looked at again."""
        if not request.idempotency_key:
            return False
        async with self._database.begin() as connection:
            known = await Jobs(connection).by_key(request.owner_id, request.idempotency_key)
        return known is not None

    async def _accepted(
        self, connection: AsyncConnection, request: StartRequest, model: str
    ) -> Job:
        jobs = Jobs(connection)
        await jobs.lock_owner(request.owner_id)
        if request.idempotency_key:
            known = await jobs.by_key(request.owner_id, request.idempotency_key)
            if known and known.body_hash != request.body_hash:
                raise Conflict(
                    "idempotency_key: was used for another request", reason="IDEMPOTENCY_CONFLICT"
                )
            if known:
                await jobs.join(known.generation_id)
                return known
        queued = await jobs.queued(request.owner_id)
        if queued >= self._max_queued:
            raise QuotaExceeded(
                f"{queued} generations are waiting; the limit is {self._max_queued}",
                reason="GENERATION_QUOTA",
                metadata={"limit": str(self._max_queued), "used": str(queued)},
            )
        await make_room(connection, request.owner_id, request.attachments, self._max_attached)
        owner_id, asked = request.owner_id, request.max_cost_usd
        cost, reserved = await self._budget.reserve(
            connection, owner_id, asked, billed=self._models.billed(model)
        )
        new = replace(
            _new(request, model), max_cost_usd=cost, reserved_usd=reserved, queue_position=queued
        )
        job = await jobs.add(new, self._hold_seconds)
        await Attachments(connection).add(job.generation_id, request.attachments)
        await Events(connection).add_first(job.generation_id, event_entry(Queued(queued)))
        return job

    async def _readied(self, job: Job) -> Job:
        try:
            sandbox = await self._sandboxes.ensure(job.project_id, job.generation_id)
        except ServiceError as exc:
            await self._failed(job, exc)
            raise
        async with self._database.begin() as connection:
            jobs = Jobs(connection)
            await jobs.release(job.generation_id, sandbox)
            await notify(connection, QUEUE)
            return await jobs.get(job.owner_id, job.generation_id) or job

    async def _failed(self, job: Job, error: ServiceError) -> None:
        """Ends it, and lets the same key try again, unless another call readies it or a worker has it by now."""
        _log.info("no sandbox", generation=job.generation_id, reason=error.reason)
        async with self._database.begin() as connection:
            jobs = Jobs(connection)
            # Nobody joins meanwhile.
            await jobs.lock_owner(job.owner_id)
            if await jobs.leave(job.generation_id):
                await self._end(connection, job, error)
            found = await jobs.get(job.owner_id, job.generation_id)
        # One that a worker had is that worker's to clean up after.
        if found and found.epoch == 0 and found.status in (Status.FAILED, Status.CANCELLED):
            await self._discard(job)
        await tell_positions(self._database, job.owner_id)

    async def _end(self, connection: AsyncConnection, job: Job, error: ServiceError) -> None:
        failure = Failure(error.reason, f"There is no sandbox for it: {error.message}.")
        await Events(connection).end(
            job.generation_id,
            0,
            Status.FAILED,
            [event_entry(Failed(failure, job.usage, 0))],
            failure_reason=failure.reason,
            failure_message=failure.message,
        )
        await Jobs(connection).free_key(job.generation_id)

    async def _discard(self, job: Job) -> None:
        """The sandbox may have been made though its answer did not arrive."""
        try:
            await self._sandboxes.discard(job.project_id, job.generation_id)
        except ServiceError as exc:
            _log.info("nothing to discard", reason=exc.reason)


def _new(request: StartRequest, model: str) -> NewJob:
    return NewJob(
        generation_id=new_id("gen"),
        owner_id=request.owner_id,
        project_id=request.project_id,
        prompt=request.prompt,
        model=model,
        body_hash=request.body_hash,
        idempotency_key=request.idempotency_key,
        mode=request.mode,
    )
