"""Who the composer is in this conversation: alone, or one of a team. Told by the tools and the words."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from local.model.agent import memory, report
from local.model.agent.transcript import PLAN
from local.model.composer.brief import Brief
from local.model.model import Conversation, Text

# Who writes a page is told which: "Your page: menu.html", "write only about.html".
_YOURS = re.compile(
    r"(?:your (?:own )?page|page to write|write only|only write|only the page)\b[^\n]{0,40}?"
    r"((?:[\w@+-]+/)*[\w@+-]+\.html)\b",
    re.IGNORECASE,
)
_PROBLEMS = re.compile(r"problems\b[^\n]*:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Role:
    """`settled` is the brief of a plan that is not to be changed any more."""

    kind: Literal["single", "plan", "page", "review"] = "single"
    page: str = ""
    settled: Brief | None = None
    # Files that a reviewer is told of.
    named: tuple[str, ...] = ()

    def may_write(self, path: str) -> bool:
        """Whether `path` is this role's to write."""
        if self.kind == "plan":
            return not path.endswith(".html")
        return self.kind != "page" or path == self.page

    def only(self, files: Mapping[str, str]) -> dict[str, str]:
        """Of `files`, those that are this role's to write."""
        return {path: text for path, text in files.items() if self.may_write(path)}

    @property
    def may_delete(self) -> bool:
        """Whether files that the site no longer has are this role's to remove."""
        return self.kind in ("single", "review")


def role(talk: Conversation) -> Role:
    """The role in `talk`."""
    if talk.has_tool(PLAN):
        return Role("plan")
    said = [block.text for block in talk.turns[0].blocks if isinstance(block, Text)]
    text = "\n".join([talk.system, *said])
    planned = memory.in_plan(text)
    if planned is None:
        return Role()
    own = _YOURS.search(text)
    if own:
        return Role("page", own[1], planned)
    return Role("review", "", planned, report.paths(_told(text)))


def _told(text: str) -> str:
    """What stands behind the last mention of problems."""
    parts = _PROBLEMS.split(text)
    return parts[-1] if len(parts) > 1 else ""
