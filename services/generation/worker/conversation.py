"""The agent loop: turn after turn until the model has finished or something stops it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.generation.agent.exchange import next_prompt, sendable
from services.generation.agent.report import is_report, report
from services.generation.convert import check_of
from services.generation.language_model import ModelError, TurnRequest
from services.generation.model import (
    MOST_FINDINGS,
    AgentStarted,
    Check,
    Event,
    Failure,
    Job,
    Message,
    Tokens,
    TurnRestarted,
    UsageReport,
)
from services.generation.repository import Transcript, TurnKey
from services.generation.worker.account import Account
from services.generation.worker.journal import Journal, Step
from services.generation.worker.opening import project_opening
from services.generation.worker.part import EVERYTHING, Part
from services.generation.worker.surroundings import Surroundings
from services.generation.worker.turn import Attempt, Turn
from services.generation.worker.verification import Verification
from services.generation.worker.writes import Writes

_log = structlog.get_logger(__name__)
# With less than this left to spend, a turn is not worth asking for.
_LEAST_TOKENS = 1_024
_GOES_ON = frozenset({"tool_use", "end_turn", "stop_sequence", "pause_turn"})


class Conversation:
    """One agent's talk with the model, from where the transcript ends."""

    def __init__(
        self,
        around: Surroundings,
        job: Job,
        journal: Journal,
        writes: Writes,
        account: Account,
        part: Part = EVERYTHING,
    ) -> None:
        """``job`` as it was claimed."""
        self._part = part
        self._agent = part.agent
        self._around = around
        self._settings = around.settings
        self._job = job
        self._journal = journal
        self._writes = writes
        self._knowledge = writes.knowledge(part.agent)
        self._account = account
        self._messages: list[Message] = []
        self._verification = Verification(around, job, journal)
        self._read = Tokens()
        self._most = self._settings.max_tokens
        """Tokens that a turn may write, whatever is left to spend."""
        self._granted = 0
        """What the attempt that was begun last might write, in tokens."""

    async def hold(self) -> Failure | None:
        """``None`` where the model has finished; otherwise why it can't go on."""
        self._messages = await self._transcript()
        self._most = await self._around.models.max_tokens(self._job.model, self._most)
        resumed = bool(self._messages)
        if not resumed:
            await self._begin()
        number = 1 + sum(message.role == "assistant" for message in self._messages)
        lost = resumed or (self._job.started_at and not self._agent)
        if lost and not _finished(self._messages):
            restarted = TurnRestarted(number, "worker lost")
            await self._journal.write(restarted, agent=self._agent)
        while not _finished(self._messages) or await self._sent_back(number):
            stopped = await self._take(number)
            if stopped is not None:
                return await self._unrepaired(stopped)
            number += 1
        return None

    @property
    def last_words(self) -> str:
        """What the model said in its last message."""
        last = self._messages[-1].content if self._messages else []
        return "\n".join(str(block["text"]) for block in last if block.get("type") == "text")

    async def account_for_cut(self) -> None:
        """Books what an attempt that was stopped by us used, by estimate."""
        if self._account.open(self._agent):
            step = self._account.cut(self._agent)
            await self._journal.write(also=step, **self._account.values)

    async def _sent_back(self, number: int) -> bool:
        """Checks what the model has finished; whether it has more to do. A check that is written counts for all."""
        round_ = self._reports() + 1
        last = check_of(self._job.check_result)
        if self._part.checked and last and last.round >= round_:
            return False
        check = await self._checked(round_)
        if check is None:
            return False
        possible = number <= self._settings.max_turns and self._token_limit() >= _LEAST_TOKENS
        if check.passed or round_ > self._settings.repair_rounds or not possible:
            await self._tell(check)
            return False
        added = [Message("user", report(check))]
        await self._tell(check, self._added(number - 1, added))
        self._messages += added
        return True

    async def _checked(self, round_: int) -> Check | None:
        """What the part's own inspection finds and, at the site's end, what is wrong with the site."""
        inspect = self._part.inspection
        found = await inspect() if inspect else []
        if self._part.checked:
            return await self._verification.check(round_, found)
        return Check(round_, tuple(found[:MOST_FINDINGS]), len(found)) if found else None

    async def _tell(self, check: Check, also: Step | None = None) -> None:
        """The log has the site's checks; what a part is told to mend on its way is its own."""
        if self._part.checked:
            await self._verification.tell(check, also=also, agent=self._agent)
        elif also:
            await self._journal.write(also=also)

    async def _unrepaired(self, failure: Failure) -> Failure | None:
        """What stops a repair of the site does not take back what was finished before it."""
        if not self._part.checked or not self._reports():
            return failure
        _log.warning("not repaired", reason=failure.reason)
        check = await self._checked(self._reports() + 1)
        if check:
            await self._tell(check)
        return None

    def _reports(self) -> int:
        return sum(m.role == "user" and is_report(m.content) for m in self._messages[1:])

    async def _take(self, number: int) -> Failure | None:
        most = self._settings.max_turns
        if number > most:
            return Failure("TURN_LIMIT", f"The model was not done after {most} turns.")
        taken = await self._ask(number)
        if isinstance(taken, Failure):
            return taken
        if taken.results:
            # Not awaited one by one: who is cancelled while it awaits a task cancels the task as well.
            await asyncio.wait(taken.results)
        results = [task.result() for task in taken.results]
        added = [Message("assistant", taken.content, taken.stop_reason)]
        if results:
            added.append(Message("user", results))
        failure = self._stopped_by(taken)
        await self._record(number, taken, [] if failure else added)
        return failure

    async def _ask(self, number: int) -> Turn | Failure:
        """The turn, asked again while that may help. An attempt that was cut has used some of what was left."""
        attempt = knocks = 0
        while (limit := await self._granted_tokens()) >= _LEAST_TOKENS:
            self._granted = limit
            key = TurnKey(number, self._job.epoch, attempt, self._agent)
            try:
                seconds = self._settings.turn_timeout_seconds
                asked = Attempt(key, self._journal, self._writes, self._account, self._part.reading)
                return await asked.take(self._around.model, self._request(limit), seconds)
            except ModelError as exc:
                _log.warning("turn cut", turn=number, reason=exc.reason, begun=exc.begun)
                await self._writes.settle()
                await self.account_for_cut()
                self._knowledge.forget_attempt()
                knocks += not exc.begun
                failure = await self._again(exc, number, knocks)
                if failure:
                    return failure
            attempt += 1
        return self._cost_limit()

    async def _again(self, error: ModelError, number: int, knocks: int) -> Failure | None:
        """Waits, and says in the log that the turn begins again; or says why it does not."""
        failure = Failure(error.reason, error.message)
        spent = self._account.restarts >= self._settings.turn_restarts
        if not error.retryable or (spent if error.begun else knocks >= self._settings.model_knocks):
            return failure
        tries = self._account.restarts if error.begun else knocks - 1
        pause = min(self._settings.retry_seconds * 2**tries, self._settings.max_retry_seconds)
        if error.retry_after is not None:
            pause = max(pause, error.retry_after)
        if pause > self._settings.max_retry_seconds:
            return Failure(
                error.reason, f"{error.message} It asks to be left alone for {pause:.0f} seconds."
            )
        if error.begun:
            self._account.restarts += 1
            event, restarts = TurnRestarted(number, "stream cut"), self._account.restarts
            await self._journal.write(event, agent=self._agent, restarts=restarts)
        await asyncio.sleep(pause)
        return None

    def _request(self, limit: int) -> TurnRequest:
        return TurnRequest(
            model=self._job.model,
            system=self._part.system,
            tools=self._part.tools,
            messages=sendable(self._messages),
            max_tokens=limit,
            user=self._job.owner_id,
        )

    def _token_limit(self) -> int:
        """Tokens for the next turn: the most that one may write, or what the money left can pay for."""
        limit = self._job.max_cost_usd
        return self._account.allow(self._agent, limit, self._prompt(), self._most)

    async def _granted_tokens(self) -> int:
        limit, prompt = self._job.max_cost_usd, self._prompt()
        return await self._account.grant(self._agent, limit, prompt, self._most, _LEAST_TOKENS)

    def _prompt(self) -> Tokens:
        return next_prompt(self._part.system, self._messages, self._read)

    def _stopped_by(self, turn: Turn) -> Failure | None:
        match turn.stop_reason:
            case reason if reason in _GOES_ON:
                return None
            case "max_tokens" if self._granted < self._most:
                return self._cost_limit()
            case "max_tokens" | "model_context_window_exceeded":
                return Failure(
                    "MODEL_OUTPUT_LIMIT", "The model reached its limit before it was done."
                )
            case "refusal":
                return Failure("MODEL_REFUSED", "The model declined this request.")
        return Failure("MODEL_PROTOCOL", "The model stopped for a reason that is not known here.")

    def _cost_limit(self) -> Failure:
        limit = self._job.max_cost_usd.normalize()
        message = f"The generation reached its cost limit of {limit:f} US dollars."
        return Failure("COST_LIMIT", message, keeps_work=True)

    def _transcript_on(self, connection: AsyncConnection) -> Transcript:
        return Transcript(connection, self._job.generation_id, self._agent)

    async def _transcript(self) -> list[Message]:
        async with self._around.database.begin() as connection:
            await self._knowledge.read(connection)
            return await self._transcript_on(connection).read()

    async def _begin(self) -> None:
        """The first message. It is kept, so that a worker who goes on asks with the very same prefix."""
        part = self._part
        if part.opening:
            content = await part.opening()
        else:
            content = await project_opening(self._around, self._job, self._knowledge)
        started = [AgentStarted(part.role, part.task)] if part.agent else []
        await self._add(0, [Message("user", content)], *started)

    async def _record(self, number: int, turn: Turn, added: Sequence[Message]) -> None:
        """The turn's messages, its price and its event, together or not at all."""
        booked = self._account.complete(self._agent, turn.tokens)
        self._read = turn.tokens

        async def also(connection: AsyncConnection) -> None:
            await booked(connection)
            if added:
                transcript = self._transcript_on(connection)
                await transcript.add(len(self._messages), number, added)
                await self._knowledge.keep(connection)

        usage = self._account.total
        await self._journal.write(
            UsageReport(usage), also=also, agent=self._agent, **self._account.values
        )
        self._messages += added

    async def _add(self, turn: int, added: Sequence[Message], *events: Event) -> None:
        step = self._added(turn, added)
        await self._journal.write(*events, also=step, agent=self._agent)
        self._messages += added

    def _added(self, turn: int, added: Sequence[Message]) -> Step:
        async def also(connection: AsyncConnection) -> None:
            await self._transcript_on(connection).add(len(self._messages), turn, added)
            await self._knowledge.keep(connection)

        return also


def _finished(messages: Sequence[Message]) -> bool:
    """Whether the model has said its last word: it called nothing and was not merely paused."""
    last = messages[-1]
    if last.role != "assistant":
        return False
    return last.stop_reason != "pause_turn" or not last.content
