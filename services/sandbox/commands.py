"""Commands and ports: what is known of what runs in a sandbox. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from services.sandbox.model import Origin

MARK = "SANDWRIGHT_COMMAND"
"""The variable by which everything that a command has started is known inside the sandbox."""


class Channel(StrEnum):
    """What a command writes to."""

    STDOUT = "stdout"
    STDERR = "stderr"


@dataclass(frozen=True, slots=True)
class Command:
    """What is to be run, by bash."""

    text: str
    cwd: str
    """An absolute path."""
    timeout_seconds: int
    env: Mapping[str, str] = field(default_factory=dict)
    origin: Origin = field(default_factory=Origin)
    """The generation that it is run for, if any."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended at the vendor's."""

    exit_code: int
    """-1 where a signal ended it."""
    signal: str = ""
    """Such as ``SIGKILL``; empty where it ended by itself."""


@dataclass(frozen=True, slots=True)
class Started:
    """The command runs."""

    pid: int


@dataclass(frozen=True, slots=True)
class Output:
    """A piece of what the command wrote."""

    channel: Channel
    text: str


@dataclass(frozen=True, slots=True)
class Exited:
    """The command has ended."""

    exit_code: int
    cause: str
    """``timeout`` or a signal's name; empty where it ended by itself."""
    truncated: bool
    duration_ms: int


Event = Started | Output | Exited


@dataclass(frozen=True, slots=True)
class Port:
    """A TCP port that something in the sandbox listens on."""

    number: int
    process_name: str
    """Empty where it can't be told."""
    pid: int
    """0 where it can't be told."""
    ready: bool
    """Whether it answered an HTTP request just now."""
    url: str = ""
    """Where it is reached from outside."""
