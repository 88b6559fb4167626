"""Tool calls on their way, while the model says the next one."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from kit.errors import Conflict, FailedPrecondition, Invalid, NotFound, QuotaExceeded
from services.generation.agent.canvas import Canvas
from services.generation.agent.tools import Call, RunCommand, paths_of, tool_result
from services.generation.language_model import Block
from services.generation.model import Job
from services.generation.peers import Origin
from services.generation.repository import Transcript, TurnKey
from services.generation.worker.done import Done, refused
from services.generation.worker.hands import Hands
from services.generation.worker.journal import STALE_EPOCH, Journal, LeaseLost
from services.generation.worker.knowledge import Knowledge
from services.generation.worker.painting import Painting
from services.generation.worker.surroundings import Surroundings

_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class _Given:
    """A call as it was submitted."""

    agent: str
    operation: str
    call_id: str
    tool: str
    call: Call
    canvas: Canvas | None


class Writes:
    """Runs tool calls: several at once, those of one path in their order. Each is told in the log when it is done."""

    def __init__(self, around: Surroundings, job: Job, journal: Journal) -> None:
        """``job`` as it was claimed."""
        self._around = around
        self._job = job
        self._journal = journal
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._last: dict[str, asyncio.Task[Block]] = {}
        self._barrier: asyncio.Task[Block] | None = None
        self._tasks: set[asyncio.Task[Block]] = set()
        self._commands: set[asyncio.Task[Block]] = set()
        self._hands: dict[str, Hands] = {}
        interval = around.settings.draft_interval_ms / 1000
        self.painting = Painting(job, around.sandboxes, interval)
        """What of files that are still being written is shown."""
        self.sandbox = job.sandbox
        """The sandbox that took the last file: one that was lost is replaced on the way."""

    def submit(
        self,
        key: TurnKey,
        call_id: str,
        tool: str,
        call: Call,
        *,
        index: int = 0,
        canvas: Canvas | None = None,
    ) -> asyncio.Task[Block]:
        """Begins with a call, the turn's ``index``-th; the task's result goes back to the model.

        ``canvas`` is what was shown of it while it was written.
        """
        paths = paths_of(call)
        before = self._before(paths)
        operation = _operation(self._job, key, index, call_id)
        given = _Given(key.agent, operation, call_id, tool, call, canvas)
        task = asyncio.create_task(self._run(given, before))
        if paths is None:
            self._barrier, self._last = task, {}
        else:
            self._last |= dict.fromkeys(paths, task)
        if isinstance(call, RunCommand):
            self._commands.add(task)
            task.add_done_callback(self._commands.discard)
        self._tasks.add(task)
        return task

    def knowledge(self, agent: str = "") -> Knowledge:
        """What an agent's conversation knows of the project's files."""
        return self._hands_of(agent).knowledge

    def end_commands(self) -> None:
        """Stops commands under way: a generation that is over does not wait for them."""
        for task in self._commands:
            task.cancel()

    def _before(self, paths: tuple[str, ...] | None) -> set[asyncio.Task[Block]]:
        """What a call on these paths has to wait for."""
        if paths is None:
            return {task for task in self._tasks if not task.done()}
        found = {self._last[path] for path in paths if path in self._last}
        return found | ({self._barrier} if self._barrier else set())

    def check(self) -> None:
        """Raises the error of a call that could not be carried out, so that the model is not heard for nothing."""
        for task in [task for task in self._tasks if task.done()]:
            self._tasks.discard(task)
            task.result()

    async def settle(self) -> None:
        """Waits for what is under way. Raises the error of one that could not be carried out.

        Where the wait is cancelled, all of it is still there to be waited for or abandoned.
        """
        if not self._tasks:
            return
        tasks = set(self._tasks)
        await asyncio.wait(tasks)
        self._tasks -= tasks
        errors = [task.exception() for task in tasks if not task.cancelled()]
        for error in errors:
            if error is not None:
                raise error

    async def abandon(self) -> None:
        """Stops what is under way."""
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, given: _Given, before: set[asyncio.Task[Block]]) -> Block:
        if given.canvas:
            await self.painting.finish(given.canvas)
        if before:
            await asyncio.wait(before)
        async with self._room:
            origin = Origin(self._job.generation_id, self._job.epoch, given.operation)
            done = await self._done(self._hands_of(given.agent), given.call, origin)
            done = replace(done, text=_storable(done.text))
        if given.canvas and done.is_error:
            await self.painting.discard(given.canvas.path)
        await self._tell(given, done)
        return tool_result(given.call_id, done.text, is_error=done.is_error)

    async def _done(self, hands: Hands, call: Call, origin: Origin) -> Done:
        try:
            return await hands.carry_out(call, origin)
        except (Invalid, QuotaExceeded, FailedPrecondition) as exc:
            # The model can mend these: a path that is a folder, a file that is too large.
            return refused(f"{exc.message}.")
        except NotFound as exc:
            if exc.reason != "FILE_NOT_FOUND":
                raise
            return refused(f"{exc.message}.")
        except Conflict as exc:
            if exc.reason != STALE_EPOCH:
                raise
            raise LeaseLost from exc

    def _hands_of(self, agent: str) -> Hands:
        if agent not in self._hands:
            self._hands[agent] = Hands(self._around, self._job, self._journal, agent)
        return self._hands[agent]

    async def _tell(self, given: _Given, done: Done) -> None:
        path = next(iter(paths_of(given.call) or ()), "")

        async def result(connection: AsyncConnection) -> None:
            transcript = Transcript(connection, self._job.generation_id, given.agent)
            await transcript.add_result(
                given.operation,
                _storable(given.call_id),
                _storable(given.tool),
                path,
                done.text,
                is_error=done.is_error,
            )

        values = {}
        if done.sandbox and done.sandbox.sandbox_id and done.sandbox != self.sandbox:
            self.sandbox = done.sandbox
            values = {
                "sandbox_id": done.sandbox.sandbox_id,
                "sandbox_url": done.sandbox.sandbox_url,
                "preview_url": done.sandbox.preview_url,
            }
        await self._journal.write(*done.events, also=result, agent=given.agent, **values)


def _storable(text: str) -> str:
    """A command can print NUL; the database's text can't hold it."""
    return text.replace("\x00", "\ufffd")


def _operation(job: Job, key: TurnKey, index: int, call_id: str) -> str:
    """Names a write for repeating it. Not the call's id alone: not every endpoint gives each call an id of its own."""
    turn = f"{key.agent}/{key.epoch}/{key.turn}/{key.attempt}"
    name = f"{job.generation_id}/{turn}/{index}/{call_id}"
    return hashlib.sha256(name.encode()).hexdigest()
