"""Finding the brief of a project that is older than the conversation: in a file or in a plan that carries it."""

import base64
import binascii
import re

from local.model.agent.transcript import Transcript
from local.model.composer import brief as briefs
from local.model.composer.brief import Brief

# The file that carries the brief, in a comment.
CARRIER = "css/theme.css"
_MEMO = re.compile(r"composer:brief (\{.*\})")
# In a plan the brief is one word, whatever quotes are put around it.
_WORD = re.compile(r"composer-brief-([\w-]+)")


def find(transcript: Transcript) -> Brief | None:
    """The brief that the project was composed from before this conversation, if it can be seen."""
    return _from_text(transcript.start.get(CARRIER, ""))


def should_look(transcript: Transcript) -> bool:
    """Whether the project is older than the conversation, and its brief was not seen yet."""
    listed = CARRIER in transcript.requests[0].files
    return listed and CARRIER not in transcript.texts and CARRIER not in transcript.refused


def word(brief: Brief) -> str:
    """`brief` as one word that a plan can carry."""
    return "composer-brief-" + base64.urlsafe_b64encode(brief.dumps().encode()).decode().strip("=")


def in_plan(text: str) -> Brief | None:
    """The brief that a plan in `text` carries."""
    match = _WORD.search(text)
    if match is None:
        return None
    try:
        return briefs.loads(base64.urlsafe_b64decode(match[1] + "==").decode())
    except (ValueError, binascii.Error):
        return None


def _from_text(text: str) -> Brief | None:
    match = _MEMO.search(text)
    if match is None:
        return None
    try:
        return briefs.loads(match.group(1).replace("\\/", "/"))
    except ValueError:
        return None
