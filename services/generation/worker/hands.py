"""What carries out one agent's calls."""

from __future__ import annotations

from services.generation.agent.tools import (
    BadCall,
    Call,
    DeleteFile,
    EditFile,
    Noted,
    RenameFile,
    RunCommand,
    UseAttachment,
    ViewFile,
    WriteFile,
)
from services.generation.model import Job
from services.generation.peers import Origin
from services.generation.repository import Attachments
from services.generation.worker.command_tool import CommandTool
from services.generation.worker.done import Done, refused
from services.generation.worker.file_tools import FileTools
from services.generation.worker.journal import Journal
from services.generation.worker.knowledge import Knowledge
from services.generation.worker.surroundings import Surroundings


class Hands:
    """One agent's."""

    def __init__(self, around: Surroundings, job: Job, journal: Journal, agent: str) -> None:
        """``job`` as it was claimed; ``agent`` is empty where one does everything."""
        self.knowledge = Knowledge(job.generation_id, journal, agent)
        """What the model knows of the project's files."""
        self._database = around.database
        self._generation_id = job.generation_id
        projects, sandboxes = around.projects, around.sandboxes
        patience = around.settings.peer_patience_seconds
        self._files = FileTools(job.project_id, projects, sandboxes, self.knowledge, patience)
        self._command = CommandTool(
            job,
            journal,
            projects,
            sandboxes,
            self.knowledge,
            seconds=around.settings.command_seconds,
            patience=patience,
        )

    async def carry_out(self, call: Call, origin: Origin) -> Done:
        """Raises errors of ``kit.errors`` and ``LeaseLost``."""
        match call:
            case WriteFile(path, content):
                return await self._files.write(path, content, origin)
            case EditFile():
                return await self._files.edit(call, origin)
            case ViewFile():
                return await self._files.view(call)
            case DeleteFile():
                return await self._files.delete(call, origin)
            case RenameFile():
                return await self._files.rename(call, origin)
            case RunCommand(command):
                return await self._command.run(command, origin)
            case UseAttachment(path, name):
                return await self._attachment(path, name, origin)
            case Noted(answer):
                return Done(answer)
            case BadCall(problem):
                return Done(problem, is_error=True)

    async def _attachment(self, path: str, name: str, origin: Origin) -> Done:
        async with self._database.begin() as connection:
            attached = await Attachments(connection).of(self._generation_id)
        content = next((one.content for one in attached if one.name == name), None)
        if content is None:
            names = ", ".join(f"'{one.name}'" for one in attached) or "none"
            return refused(f"name: there is no attachment '{name}'; there are: {names}.")
        return await self._files.write(path, content, origin)
