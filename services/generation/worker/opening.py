"""The message that begins a conversation: the project as it is, what came along, and what is asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from kit.errors import NotFound
from services.generation.agent.prompt import opening, showable, shown_files, title_of
from services.generation.agent.tools.viewing import text_of
from services.generation.language_model import Block
from services.generation.model import Job
from services.generation.peers import FileInfo
from services.generation.repository import Attachments, Jobs
from services.generation.worker.knowledge import Knowledge
from services.generation.worker.patience import patiently
from services.generation.worker.surroundings import Surroundings

_EARLIER = 5


async def project_opening(around: Surroundings, job: Job, knowledge: Knowledge) -> list[Block]:
    """The first message's content; ``knowledge`` takes note of what it shows."""
    patience = around.settings.peer_patience_seconds
    files = await patiently(lambda: around.projects.manifest(job.project_id), patience)
    contents = await _contents(around, job.project_id, files)
    texts = {
        path: text
        for path, content in contents.items()
        if (text := shown_text(path, content)) is not None
    }
    knowledge.listed(files)
    for path in texts:
        knowledge.saw(path, hashlib.sha256(contents[path]).hexdigest())
    async with around.database.begin() as connection:
        attached = await Attachments(connection).of(job.generation_id)
        earlier = await Jobs(connection).earlier_prompts(job, _EARLIER)
    return opening(
        job.prompt,
        files,
        texts,
        earlier=[title_of(prompt) for prompt in earlier],
        attached=attached,
    )


async def _contents(
    around: Surroundings, project_id: str, files: Sequence[FileInfo]
) -> Mapping[str, bytes]:
    paths = shown_files(files, around.settings.context_bytes)
    patience = around.settings.peer_patience_seconds
    try:
        return await patiently(lambda: around.projects.contents(project_id, paths), patience)
    except NotFound as exc:
        if exc.reason != "FILE_NOT_FOUND":
            raise
        return {}


def shown_text(path: str, content: bytes) -> str | None:
    """What is text indeed, whatever the file's name says, and can't be taken for the frame around it."""
    text = text_of(content)
    return text if text is not None and showable(path, text) else None
