"""A team at one generation: a plan, its pages at the same time, a review.

Every agent has a conversation of its own. What was done is in their transcripts and in the log: a worker who goes on
after a lost one runs no agent again that has finished, and goes on with the others where they stood.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence

import structlog

from services.generation.agent.tools import WRITE_FILE, WriteFile
from services.generation.convert import agents_told
from services.generation.language_model import Block
from services.generation.model import AgentFinished, Failure, Finding, Job
from services.generation.repository import Events, Transcript, TurnKey
from services.generation.worker.account import Account
from services.generation.worker.conversation import Conversation
from services.generation.worker.journal import Journal, LeaseLost
from services.generation.worker.part import Part
from services.generation.worker.surroundings import Surroundings
from services.generation.worker.team import parts, style
from services.generation.worker.team.openings import Openings
from services.generation.worker.team.plan import PLAN_SITE, PagePlan, SitePlan, plan_in
from services.generation.worker.team.site import Site
from services.generation.worker.writes import Writes

_log = structlog.get_logger(__name__)
# Failures that are one agent's own: the reviewer takes over what it left. Any other one ends the generation.
_OWN = frozenset({"TURN_LIMIT", "MODEL_OUTPUT_LIMIT", "MODEL_REFUSED"})
_MOST_SUMMARY = 500
_NO_PLAN = Failure("TEAM_NO_PLAN", "The planner ended without a plan.")


class _Stopped(Exception):
    """One agent's failure that ends the work of all."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


class Team:
    """One job's agents, from where they stand."""

    def __init__(
        self, around: Surroundings, job: Job, journal: Journal, writes: Writes, account: Account
    ) -> None:
        """``job`` as it was claimed."""
        self._around = around
        self._settings = around.settings
        self._job = job
        self._journal = journal
        self._writes = writes
        self._account = account
        self._site = Site(around, job.project_id)
        self._openings = Openings(around, job, writes, self._site)
        self._told: dict[str, str] = {}
        """Each agent that has finished, with what it could not do."""

    async def hold(self) -> Failure | None:
        """``None`` where the site is done; otherwise why it can't go on."""
        self._told = await self._agents_told()
        try:
            return await self._worked()
        except _Stopped as exc:
            return exc.failure

    async def account_for_cut(self) -> None:
        """Books what attempts that were stopped by us used, by estimate."""
        for agent in self._account.under_way:
            step = self._account.cut(agent)
            await self._journal.write(also=step, agent=agent, **self._account.values)

    async def _worked(self) -> Failure | None:
        most = self._settings.team_max_pages
        await self._run(parts.planner(most, self._inspect_plan))
        plan = await self._plan()
        if plan is None:
            return _NO_PLAN
        await self._write_pages(plan)
        await self._review(plan)
        return await self._made_sure(plan)

    async def _run(self, part: Part) -> None:
        """One agent to its end. Raises ``_Stopped`` where that is everybody's."""
        if part.agent in self._told:
            return
        talk = Conversation(
            self._around, self._job, self._journal, self._writes, self._account, part
        )
        failure = await talk.hold()
        self._account.release(part.agent)
        if failure and (failure.reason not in _OWN or part.role != "page"):
            raise _Stopped(failure)
        why = failure.message if failure else ""
        summary = (why or talk.last_words)[:_MOST_SUMMARY]
        await self._journal.write(AgentFinished(not failure, summary), agent=part.agent)
        self._told[part.agent] = why
        _log.info("agent finished", agent=part.agent, failed=bool(failure))

    async def _write_pages(self, plan: SitePlan) -> None:
        """All pages, some at once. Where one ends everybody's work, the others are stopped."""
        due = [page for page in plan.pages if page.path not in self._told]
        room = asyncio.Semaphore(self._settings.team_parallel)
        self._account.sharers = max(1, min(self._settings.team_parallel, len(due)))

        async def write(page: PagePlan) -> None:
            async with room:
                await self._run(self._writer(plan, page))

        try:
            async with asyncio.TaskGroup() as group:
                for page in due:
                    group.create_task(write(page))
        except ExceptionGroup as exc:
            raise _foremost(exc.exceptions) from exc
        finally:
            self._account.sharers = 1

    def _writer(self, plan: SitePlan, page: PagePlan) -> Part:
        return parts.writer(
            page,
            lambda: self._openings.of_writer(plan, page),
            lambda: self._site.lacks(plan, [page]),
        )

    async def _review(self, plan: SitePlan) -> None:
        async def opening() -> list[Block]:
            return await self._openings.of_reviewer(plan, self._told)

        await self._run(parts.reviewer(opening, lambda: self._site.lacks(plan, plan.pages)))

    async def _made_sure(self, plan: SitePlan) -> Failure | None:
        """No planned page is missing, and none is without the shared style: where a model left it out, we link it."""
        found = await self._site.contents(page.path for page in plan.pages)
        for page in plan.pages:
            if page.path not in found:
                return Failure("TEAM_INCOMPLETE", f"The page {page.path} was not written.")
            old, encoding = _decoded(found[page.path])
            text = style.linking(old, page.path, plan.stylesheets)
            if text is None:
                return Failure("TEAM_INCOMPLETE", f"The page {page.path} misses the shared style.")
            if text != old:
                await self._link(page, found[page.path], text.encode(encoding))
        return None

    async def _link(self, page: PagePlan, found: bytes, content: bytes) -> None:
        key = TurnKey(0, self._job.epoch, 0, parts.REVIEWER)
        call = WriteFile(page.path, content)
        self._writes.knowledge(parts.REVIEWER).saw(page.path, hashlib.sha256(found).hexdigest())
        task = self._writes.submit(key, f"{style.RULE}:{page.path}", WRITE_FILE, call)
        await asyncio.wait([task])
        if task.result().get("is_error"):
            message = f"The shared style could not be linked in {page.path}."
            raise _Stopped(Failure("TEAM_INCOMPLETE", message))

    async def _inspect_plan(self) -> list[Finding]:
        """Whether there is a plan, and what it says is shared."""
        plan = await self._plan()
        if plan is None:
            return [Finding("", "no-plan", f"There is no plan yet: call {PLAN_SITE}.")]
        return await self._site.missing(plan.shared_files)

    async def _plan(self) -> SitePlan | None:
        async with self._around.database.begin() as connection:
            transcript = Transcript(connection, self._job.generation_id, parts.PLANNER)
            return plan_in(await transcript.read(), self._settings.team_max_pages)

    async def _agents_told(self) -> dict[str, str]:
        async with self._around.database.begin() as connection:
            events = Events(connection)
            return agents_told(await events.of_kinds(self._job.generation_id, "agent_finished"))


def _decoded(content: bytes) -> tuple[str, str]:
    """A page's text, and the encoding that gives back the same bytes."""
    try:
        return content.decode(), "utf-8"
    except UnicodeDecodeError:
        return content.decode("latin-1"), "latin-1"


def _foremost(errors: Sequence[Exception]) -> Exception:
    """The one that decides: a lost lease before all, what leaves the job to others before a failure of our own."""
    flat = [
        inner
        for error in errors
        for inner in (error.exceptions if isinstance(error, ExceptionGroup) else (error,))
    ]
    return min(
        flat, key=lambda error: (not isinstance(error, LeaseLost), isinstance(error, _Stopped))
    )
