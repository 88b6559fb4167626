"""Running a command for the model, and telling what it did to the project's files."""

from __future__ import annotations

from collections.abc import Sequence

from kit.errors import NotFound, Unavailable
from services.generation.model import (
    CommandRun,
    Event,
    FileDeleted,
    FileWritten,
    Job,
    Sandbox,
)
from services.generation.peers import FileInfo, Origin, Projects, Ran, Sandboxes
from services.generation.worker.done import Done
from services.generation.worker.journal import Journal
from services.generation.worker.knowledge import Knowledge
from services.generation.worker.patience import PASSING, patiently

_MOST_OUTPUT = 16_000
_TOLD_OUTPUT = 4_096
_NAMED_FILES = 50


class CommandTool:
    """One conversation's."""

    def __init__(
        self,
        job: Job,
        journal: Journal,
        projects: Projects,
        sandboxes: Sandboxes,
        knowledge: Knowledge,
        *,
        seconds: int,
        patience: float,
    ) -> None:
        """``seconds`` that a command may take; ``patience`` for services that do not answer."""
        self._job = job
        self._journal = journal
        self._projects = projects
        self._sandboxes = sandboxes
        self._knowledge = knowledge
        self._seconds = seconds
        self._patience = patience

    async def run(self, command: str, origin: Origin) -> Done:
        """Runs it once. What it changed is known to be there, but not yet seen."""
        before = await self._manifest()
        # Who has lost the lease must not get there, also where its successor has not been there yet.
        await self._journal.write()
        try:
            ran, sandbox = await self._ran(command, origin)
        except PASSING:
            return Done(
                "The sandbox did not answer. It is not known whether the command ran.",
                is_error=True,
            )
        after = await self._manifest()
        changes = _changes(before, after)
        self._knowledge.changed(before, after)
        event = CommandRun(command, ran.exit_code, _end(ran.output, _TOLD_OUTPUT))
        return Done(self._told(ran, changes), False, (event, *changes), sandbox)

    async def _ran(self, command: str, origin: Origin) -> tuple[Ran, Sandbox | None]:
        """Also the sandbox, where it was made for this."""
        job = self._job
        try:
            return await self._once(command, origin), None
        except NotFound as exc:
            if exc.reason != "SANDBOX_NOT_FOUND":
                raise
        sandbox = await patiently(
            lambda: self._sandboxes.ensure(job.project_id, job.generation_id), self._patience
        )
        try:
            return await self._once(command, origin), sandbox
        except NotFound as exc:
            raise Unavailable("the sandbox is gone again") from exc

    async def _once(self, command: str, origin: Origin) -> Ran:
        project_id = self._job.project_id
        return await self._sandboxes.run(project_id, origin, command, self._seconds, _MOST_OUTPUT)

    async def _manifest(self) -> Sequence[FileInfo]:
        return await patiently(
            lambda: self._projects.manifest(self._job.project_id), self._patience
        )

    def _told(self, ran: Ran, changes: Sequence[Event]) -> str:
        match ran.cause:
            case "":
                said = f"Exit code {ran.exit_code}."
            case "timeout":
                said = f"Stopped after {self._seconds} seconds."
            case signal:
                said = f"Ended by {signal}."
        if changes:
            names = [_named(change) for change in changes[:_NAMED_FILES]]
            more = len(changes) - len(names)
            said += f" Files: {', '.join(names)}{f' and {more} more' if more else ''}."
        cut = " (its end)" if ran.cut else ""
        return f"{said} Output{cut}:\n{ran.output}" if ran.output else f"{said} No output."


def _changes(before: Sequence[FileInfo], after: Sequence[FileInfo]) -> tuple[Event, ...]:
    had = {file.path: file.sha256 for file in before}
    has = {file.path for file in after}
    written = [
        FileWritten(file.path, file.size_bytes, file.sha256)
        for file in after
        if had.get(file.path) != file.sha256
    ]
    return (*(FileDeleted(path) for path in had if path not in has), *written)


def _named(change: Event) -> str:
    match change:
        case FileWritten(path):
            return f"{path} written"
        case FileDeleted(path):
            return f"{path} deleted"
    raise TypeError(change)


def _end(text: str, most_bytes: int) -> str:
    return text.encode()[-most_bytes:].decode(errors="ignore")
