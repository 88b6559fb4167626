"""What a generation is: its states, its endings, what happens in it. The standard library only."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


class Status(StrEnum):
    """States of a generation."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing comes after it."""
        return self not in NEXT


NEXT: dict[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.RUNNING, Status.FAILED, Status.CANCELLED}),
    Status.RUNNING: frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED}),
}
"""What a state may become; one that isn't here is an end."""

ENDED = tuple(status for status in Status if status.ended)


def sources(target: Status) -> tuple[Status, ...]:
    """The states from which this one is reached."""
    return tuple(status for status, following in NEXT.items() if target in following)


class Mode(StrEnum):
    """Who works on a generation."""

    SINGLE = "single"
    TEAM = "team"


@dataclass(frozen=True, slots=True)
class Tokens:
    """What one turn of the model used."""

    read: int = 0
    """Tokens read at full price."""
    written: int = 0
    """Tokens written, thoughts included."""
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    geography: str = ""
    """Where the model ran, as it says itself; some places have prices of their own."""

    @property
    def prompt(self) -> int:
        """Size of the whole prompt, which decides the price tier."""
        return self.read + self.cache_read + self.cache_write_5m + self.cache_write_1h


@dataclass(frozen=True, slots=True)
class Usage:
    """What a generation used so far."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    estimated: bool = False
    turns: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a generation failed."""

    reason: str
    """Stable, for programs."""
    message: str
    """A sentence for people; never holds a secret or an internal text."""
    keeps_work: bool = False
    """Whether what was written becomes the head, marked partial, as after a cancellation."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Where a generation writes."""

    sandbox_id: str = ""
    sandbox_url: str = ""
    preview_url: str = ""


@dataclass(frozen=True, slots=True)
class Attachment:
    """An image or a file that came along with a prompt."""

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class AttachmentInfo:
    """What is told of one."""

    name: str
    media_type: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What the model saw last of a file."""

    sha256: str
    shown: bool
    """Whether it saw the content, not the name alone."""


@dataclass(frozen=True, slots=True)
class Job:
    """One generation as its row has it."""

    generation_id: str
    owner_id: str
    project_id: str
    prompt: str
    model: str
    status: Status
    created_at: datetime
    mode: Mode = Mode.SINGLE
    epoch: int = 0
    body_hash: str = ""
    sandbox: Sandbox = field(default_factory=Sandbox)
    usage: Usage = field(default_factory=Usage)
    version: int = 0
    max_cost_usd: Decimal = Decimal(0)
    """What it may cost, in US dollars."""
    failure: Failure | None = None
    """While it runs: the failure that was decided on and is being carried out."""
    restarts: int = 0
    """How many turns were lost to the model's stream and asked again."""
    last_sequence: int = 0
    cancel_requested_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    deleted_at: datetime | None = None
    attachments: tuple[AttachmentInfo, ...] = ()
    check_result: bytes = b""
    """The last check, serialized; empty where there was none."""


# What happens in a generation. The names of the classes, in snake case, are the events' names on the wire.


@dataclass(frozen=True, slots=True)
class Queued:
    """It waits; ``position`` others of the user come first."""

    position: int


@dataclass(frozen=True, slots=True)
class Started:
    """A worker took it up."""

    sandbox: Sandbox
    model: str


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The model says something."""

    text: str


@dataclass(frozen=True, slots=True)
class FileDelta:
    """The model goes on with a file; ``offset`` in characters."""

    path: str
    text: str
    offset: int


@dataclass(frozen=True, slots=True)
class FileWritten:
    """A file is in the sandbox and in the store."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class FileDeleted:
    """A file is gone from the sandbox and from the store."""

    path: str


@dataclass(frozen=True, slots=True)
class CommandRun:
    """The model ran a command; ``output`` is the end of what it printed, -1 that it was stopped."""

    command: str
    exit_code: int
    output: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found. ``line`` counts from 1; 0 where it is not known."""

    path: str
    rule: str
    message: str
    line: int = 0


@dataclass(frozen=True, slots=True)
class Check:
    """What was written has been checked, for the ``round``-th time."""

    round: int
    findings: tuple[Finding, ...]
    """At most ``MOST_FINDINGS``."""
    finding_count: int
    """How many there were."""

    @property
    def passed(self) -> bool:
        """Whether nothing was found."""
        return not self.finding_count


MOST_FINDINGS = 50


@dataclass(frozen=True, slots=True)
class TurnRestarted:
    """The turn under way was lost and begins again."""

    turn: int
    reason: str


@dataclass(frozen=True, slots=True)
class AgentStarted:
    """An agent of a team begins its part."""

    role: str
    """``plan``, ``page`` or ``review``."""
    task: str


@dataclass(frozen=True, slots=True)
class AgentFinished:
    """An agent of a team has done its part, or could not."""

    succeeded: bool
    summary: str


@dataclass(frozen=True, slots=True)
class UsageReport:
    """What was used so far."""

    usage: Usage


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The last event: it ended well."""

    version: int
    usage: Usage
    sandbox: Sandbox
    files_written: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The last event: it could not be finished."""

    failure: Failure
    usage: Usage
    partial_version: int


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The last event: it was cancelled."""

    version: int
    usage: Usage


Terminal = Succeeded | Failed | Cancelled
Event = (
    Queued
    | Started
    | TextDelta
    | FileDelta
    | FileWritten
    | FileDeleted
    | CommandRun
    | Check
    | TurnRestarted
    | AgentStarted
    | AgentFinished
    | UsageReport
    | Terminal
)


def status_after(event: Terminal) -> Status:
    """The state that a last event leaves behind."""
    if isinstance(event, Succeeded):
        return Status.SUCCEEDED
    return Status.FAILED if isinstance(event, Failed) else Status.CANCELLED


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the transcript, content blocks verbatim as the model's API has them."""

    role: str
    content: list[dict[str, object]]
    stop_reason: str = ""
    """Why the model stopped; empty in messages that aren't the model's."""
