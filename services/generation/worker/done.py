"""What a tool call came to."""

from __future__ import annotations

from dataclasses import dataclass

from services.generation.model import Event, Sandbox


@dataclass(frozen=True, slots=True)
class Done:
    """What the model is told, and what the log is."""

    text: str
    is_error: bool = False
    events: tuple[Event, ...] = ()
    sandbox: Sandbox | None = None
    """The sandbox that took it."""


def refused(problem: str) -> Done:
    """An error for the model: it can mend it."""
    return Done(f"{problem} Nothing was done.", is_error=True)
