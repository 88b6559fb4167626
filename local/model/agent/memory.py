"""Finding the brief of a project that is older than the conversation: in a file that carries it."""

import re

from local.model.agent.manifest import Request
from local.model.agent.transcript import Transcript
from local.model.composer import brief as briefs
from local.model.composer.brief import Brief

# The file that carries the brief, in a comment.
CARRIER = "css/theme.css"
_MEMO = re.compile(r"composer:brief (\{.*\})")


def find(transcript: Transcript, first: Request) -> Brief | None:
    """The brief that the project was composed from before this conversation, if it can be seen."""
    return _from_text(transcript.viewed.get(CARRIER) or first.shown.get(CARRIER, ""))


def should_look(transcript: Transcript, first: Request) -> bool:
    """Whether the project is older than the conversation, and its brief was not seen yet."""
    seen = (first.shown, transcript.viewed, transcript.refused)
    return CARRIER in first.files and not any(CARRIER in known for known in seen)


def _from_text(text: str) -> Brief | None:
    match = _MEMO.search(text)
    if match is None:
        return None
    try:
        return briefs.loads(match.group(1).replace("\\/", "/"))
    except ValueError:
        return None
