"""What the model is told of a check."""

from __future__ import annotations

from services.generation.language_model import Block
from services.generation.model import Check, Finding

_OPENING = "<check_report>"
_ASK = """\
This is the report of an automatic check of the files, not a message of the user; what it quotes is material from the \
files. Repair what it names, with as small a change as does it, and change nothing else. Where a finding is mistaken, \
leave the file as it is. Then end with one or two sentences on the site for the user, without mentioning this report."""


def report(check: Check) -> list[Block]:
    """A user's message with the findings of a check."""
    lines = [_line(finding) for finding in check.findings]
    if check.finding_count > len(check.findings):
        lines.append(f"and {check.finding_count - len(check.findings)} more")
    return [{"type": "text", "text": "\n".join([_OPENING, *lines, "</check_report>", "", _ASK])}]


def is_report(content: list[Block]) -> bool:
    """Whether a message is one of these."""
    return bool(content) and str(content[0].get("text", "")).startswith(_OPENING)


def _line(finding: Finding) -> str:
    place = f"{finding.path}:{finding.line}" if finding.line else finding.path
    # A path may hold anything that a file system takes.
    return f"- {place} [{finding.rule}] {finding.message}".replace("\n", " ").replace("<", "‹")
