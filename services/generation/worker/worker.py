"""Works on one claimed generation from where it stands to its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum, auto
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import SQLAlchemyError

from kit.context import acting_for, request_id
from kit.errors import NotFound, QuotaExceeded, ServiceError
from services.generation.model import Failure, Job, Mode, Started
from services.generation.worker.account import Account
from services.generation.worker.conversation import Conversation
from services.generation.worker.endings import SERVICE_UNAVAILABLE, Endings
from services.generation.worker.journal import Journal, LeaseLost
from services.generation.worker.lease import Lease, Stop
from services.generation.worker.patience import PASSING, patiently
from services.generation.worker.surroundings import Surroundings
from services.generation.worker.team.team import Team
from services.generation.worker.writes import Writes

_log = structlog.get_logger(__name__)
_SERVICE = "generation"
# A process that drains waits so long for files under way; what is later is written again by who goes on.
_DRAIN_SECONDS = 5.0
INTERNAL = Failure("INTERNAL", "The platform met an error of its own.")


class Outcome(Enum):
    """How work on a generation can end, besides failing."""

    FINISHED = auto()
    CANCELLED = auto()
    LEFT = auto()
    """Not over: another worker goes on."""


class Worker:
    """Works on one job."""

    def __init__(self, around: Surroundings, job: Job) -> None:
        """``job`` as it was claimed."""
        settings = around.settings
        self._around = around
        self._job = job
        self._journal = Journal(around.database, job, settings.event_batch_ms / 1000)
        self._account = Account(job, around.prices, settings.usage_interval_seconds)
        self._started = job.started_at is not None
        """Whether it may have written something."""
        self._writes = Writes(around, job, self._journal)
        talk = Team if job.mode is Mode.TEAM else Conversation
        self._conversation = talk(around, job, self._journal, self._writes, self._account)
        self.lease = Lease(
            around.database,
            around.listener,
            job,
            settings.lease_seconds,
            settings.lease_renew_seconds,
        )

    async def work(self) -> None:
        """To the end, or until the lease is lost or given back. Raises nothing that is expected to happen."""
        request_id.set(self._job.generation_id)
        _log.info("claimed", generation=self._job.generation_id, epoch=self._job.epoch)
        with acting_for(self._job.owner_id, _SERVICE):
            try:
                async with self.lease.kept():
                    await self._end(await self._outcome())
            except LeaseLost:
                _log.info("lease lost", generation=self._job.generation_id, epoch=self._job.epoch)
            except (SQLAlchemyError, OSError) as exc:
                # Not given back: until the lease runs out the database has time to recover.
                _log.warning("left to another worker", error=type(exc).__name__)
            except ServiceError as exc:
                _log.error("left to another worker", reason=exc.reason, exc_info=exc)
            except Exception as exc:  # noqa: BLE001 - one generation's trouble is not the pool's
                _log.error("left to another worker", error=type(exc).__name__, exc_info=exc)
            finally:
                await self._writes.abandon()
                await self._writes.painting.end()
                await self._journal.close()

    async def _end(self, outcome: Outcome | Failure) -> None:
        # Whoever is told that it is over finds no draft any more.
        await self._writes.painting.end()
        usage = self._account.total
        endings = Endings(self._around, self._job, self._journal, started=self._started)
        match outcome:
            case Outcome.FINISHED:
                await endings.succeed(usage, self._writes.sandbox)
            case Outcome.CANCELLED:
                await endings.cancel(usage)
            case Failure():
                await endings.fail(outcome, usage)
            case Outcome.LEFT:
                return
        _log.info("ended", generation=self._job.generation_id)

    async def _outcome(self) -> Outcome | Failure:
        if self._job.failure:
            return self._job.failure
        if self._job.cancel_requested_at or self._job.deleted_at:
            return Outcome.CANCELLED
        if self._job.epoch > self._around.settings.max_claims:
            return Failure("WORKER_LOST", "The platform lost its workers too often.")
        async with self._attempted() as attempt:
            stopper = asyncio.create_task(self.lease.stopped())
            try:
                await asyncio.wait({attempt, stopper}, return_when=asyncio.FIRST_COMPLETED)
                if attempt.done():
                    return await self._settled(attempt)
                return await self._stopped(attempt, stopper.result())
            finally:
                stopper.cancel()

    @asynccontextmanager
    async def _attempted(self) -> AsyncIterator[asyncio.Task[Failure | None]]:
        attempt = asyncio.create_task(self._attempt())
        try:
            yield attempt
        finally:
            attempt.cancel()
            await asyncio.gather(attempt, return_exceptions=True)

    async def _attempt(self) -> Failure | None:
        """Readies the sandbox, says once that it has started, and talks with the model."""
        job, patience = self._job, self._around.settings.peer_patience_seconds
        sandboxes, projects = self._around.sandboxes, self._around.projects
        sandbox = await patiently(
            lambda: sandboxes.ensure(job.project_id, job.generation_id), patience
        )
        self._writes.sandbox = sandbox
        values: dict[str, Any] = {
            "sandbox_id": sandbox.sandbox_id,
            "sandbox_url": sandbox.sandbox_url,
            "preview_url": sandbox.preview_url,
        }
        if job.started_at is None:
            # What the user changed by hand becomes a version first, so that a failure can go back to exactly that.
            await patiently(lambda: projects.commit_edits(job.project_id), patience)
            self._started = True
            now = sa.func.clock_timestamp()
            await self._journal.write(Started(sandbox, job.model), started_at=now, **values)
        else:
            await self._journal.write(**values)
        failure = await self._conversation.hold()
        await self._writes.settle()
        return failure

    async def _settled(self, attempt: asyncio.Task[Failure | None]) -> Outcome | Failure:
        """What the attempt's end means. Raises what leaves the job to another worker."""
        try:
            failure = attempt.result()
        except (LeaseLost, SQLAlchemyError, OSError):
            raise
        except PASSING:
            failure = SERVICE_UNAVAILABLE
        except NotFound as exc:
            if exc.reason == "PROJECT_NOT_FOUND":
                return Outcome.CANCELLED
            failure = self._unexpected(exc)
        except QuotaExceeded as exc:
            failure = Failure(exc.reason, exc.message)
        except Exception as exc:  # noqa: BLE001 - whatever it is, the user is told that it is over
            failure = self._unexpected(exc)
        await self._settle(self._around.settings.peer_patience_seconds)
        return failure or Outcome.FINISHED

    async def _stopped(self, attempt: asyncio.Task[Failure | None], why: Stop) -> Outcome:
        attempt.cancel()
        await asyncio.gather(attempt, return_exceptions=True)
        if why is Stop.LOST:
            raise LeaseLost
        if why is Stop.CANCELLED:
            await self._settle(self._around.settings.peer_patience_seconds)
            return Outcome.CANCELLED
        await self._settle(_DRAIN_SECONDS)
        await self.lease.give_back()
        _log.info("given back", generation=self._job.generation_id)
        return Outcome.LEFT

    async def _settle(self, seconds: float) -> None:
        """Files under way arrive, at most so late, and a turn that was cut is booked.

        How the generation ends is decided by now: a file's own error is not raised, only what leaves it to another
        worker.
        """
        self._writes.end_commands()
        try:
            async with asyncio.timeout(seconds):
                await self._writes.settle()
        except (LeaseLost, SQLAlchemyError):
            raise
        except Exception as exc:
            if isinstance(exc, OSError) and not isinstance(exc, TimeoutError):
                raise
            _log.warning("a file did not arrive", error=type(exc).__name__)
        await self._writes.abandon()
        await self._conversation.account_for_cut()

    def _unexpected(self, exc: Exception) -> Failure:
        _log.error("unexpected error", generation=self._job.generation_id, exc_info=exc)
        return INTERNAL
