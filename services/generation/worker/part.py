"""What one agent does of a generation: all of it, or a part of a team's work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from services.generation.agent.prompt import SYSTEM
from services.generation.agent.tools import TOOLS, Call, read_call
from services.generation.language_model import Block
from services.generation.model import Finding

Reading = Callable[[str, dict[str, Any], bool], Call]
"""What a call of a tool asks for, by its name, its input, and whether that was valid JSON."""
Opening = Callable[[], Awaitable[list[Block]]]
"""The first message's content."""
Inspection = Callable[[], Awaitable[list[Finding]]]
"""What the part still lacks."""


@dataclass(frozen=True, slots=True)
class Part:
    """How an agent is told what to do, and what it may do."""

    agent: str = ""
    """Its name in the events, unique in a generation; empty where one agent does everything."""
    role: str = ""
    """``plan``, ``page`` or ``review`` in a team."""
    task: str = ""
    """What it is to do, in a few words, for people."""
    system: str = SYSTEM
    tools: tuple[Block, ...] = TOOLS
    reading: Reading = read_call
    opening: Opening | None = None
    """Where it is not the project's files and the user's prompt."""
    inspection: Inspection | None = None
    """Asked whenever the model says that it has finished; what it finds comes back to the model."""
    checked: bool = False
    """Whether its end is the site's: then the site is checked as well."""


EVERYTHING = Part(checked=True)
"""One agent that does all of it."""
