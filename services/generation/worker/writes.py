"""Files on their way into the sandbox and the store, while the model writes the next one."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from kit.errors import Conflict, FailedPrecondition, Invalid, QuotaExceeded
from services.generation.agent.calls import (
    DELETE_FILE,
    WRITE_FILE,
    BadCall,
    Call,
    DeleteFile,
    WriteFile,
    tool_result,
)
from services.generation.language_model import Block
from services.generation.model import Event, FileDeleted, FileWritten, Job, Sandbox
from services.generation.peers import Origin, Sandboxes, Written
from services.generation.repository import Transcript, TurnKey
from services.generation.worker.journal import Journal, LeaseLost
from services.generation.worker.patience import patiently

_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class _Done:
    text: str
    path: str = ""
    is_error: bool = False
    event: Event | None = None
    sandbox: Sandbox | None = None


class Writes:
    """Runs tool calls: several at once, those of one path in their order. Each is told in the log when it is done."""

    def __init__(self, job: Job, journal: Journal, sandboxes: Sandboxes, patience: float) -> None:
        """``patience`` in seconds, for a sandbox service that does not answer."""
        self._job = job
        self._journal = journal
        self._sandboxes = sandboxes
        self._patience = patience
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._last: dict[str, asyncio.Task[Block]] = {}
        self._tasks: set[asyncio.Task[Block]] = set()
        self.sandbox = job.sandbox
        """The sandbox that took the last file: one that was lost is replaced on the way."""

    def submit(self, key: TurnKey, call_id: str, call: Call) -> asyncio.Task[Block]:
        """Begins with a call; the task's result goes back to the model."""
        path = "" if isinstance(call, BadCall) else call.path
        task = asyncio.create_task(self._run(key, call_id, call, self._last.get(path)))
        if path:
            self._last[path] = task
        self._tasks.add(task)
        return task

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

    async def _run(
        self, key: TurnKey, call_id: str, call: Call, before: asyncio.Task[Block] | None
    ) -> Block:
        if before is not None:
            await asyncio.wait([before])
        operation = _operation(self._job, key, call_id)
        async with self._room:
            done = await self._done(call, Origin(self._job.generation_id, key.epoch, operation))
        await self._tell(operation, key.agent, call_id, call, done)
        return tool_result(call_id, done.text, is_error=done.is_error)

    async def _done(self, call: Call, origin: Origin) -> _Done:
        if isinstance(call, BadCall):
            return _Done(call.problem, is_error=True)
        try:
            written = await patiently(lambda: self._apply(call, origin), self._patience)
        except (Invalid, QuotaExceeded, FailedPrecondition) as exc:
            # The model can mend these: a path that is a folder, a file that is too large.
            return _Done(f"{exc.message}. Nothing was done.", call.path, is_error=True)
        except Conflict as exc:
            raise LeaseLost from exc
        if written.file is None:
            event: Event = FileDeleted(call.path)
            return _Done(f"Deleted {call.path}.", call.path, False, event, written.sandbox)
        file = written.file
        event = FileWritten(file.path, file.size_bytes, file.sha256)
        text = f"Wrote {file.path} ({file.size_bytes} bytes)."
        return _Done(text, call.path, False, event, written.sandbox)

    async def _apply(self, call: WriteFile | DeleteFile, origin: Origin) -> Written:
        project = self._job.project_id
        if isinstance(call, WriteFile):
            return await self._sandboxes.write(project, origin, call.path, call.content)
        return await self._sandboxes.delete(project, origin, call.path)

    async def _tell(
        self, operation: str, agent: str, call_id: str, call: Call, done: _Done
    ) -> None:
        tool = DELETE_FILE if isinstance(call, DeleteFile) else WRITE_FILE

        async def result(connection: AsyncConnection) -> None:
            transcript = Transcript(connection, self._job.generation_id, agent)
            await transcript.add_result(
                operation, call_id, tool, done.path, done.text, is_error=done.is_error
            )

        values = {}
        if done.sandbox and done.sandbox.sandbox_id and done.sandbox != self.sandbox:
            self.sandbox = done.sandbox
            values = {
                "sandbox_id": done.sandbox.sandbox_id,
                "sandbox_url": done.sandbox.sandbox_url,
                "preview_url": done.sandbox.preview_url,
            }
        events = [done.event] if done.event else []
        await self._journal.write(*events, also=result, agent=agent, **values)


def _operation(job: Job, key: TurnKey, call_id: str) -> str:
    """Names a write for repeating it. Not the call's id alone: not every endpoint gives each call an id of its own."""
    name = f"{job.generation_id}/{key.agent}/{key.epoch}/{key.turn}/{key.attempt}/{call_id}"
    return hashlib.sha256(name.encode()).hexdigest()
