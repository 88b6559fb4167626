"""What a language model is to us: asked for a turn, it answers with small events or with a ``ModelError``."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from services.generation.model import Tokens

Block = dict[str, Any]
"""A content block as the Messages API has it."""


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """All that a turn depends on. In a conversation ``system`` and ``tools`` never change; messages are only added."""

    model: str
    system: str
    tools: tuple[Block, ...]
    messages: list[Block]
    max_tokens: int
    user: str = ""
    """Who asks, as an opaque id."""


@dataclass(frozen=True, slots=True)
class TurnOpened:
    """The model begins; what it read is known."""

    tokens: Tokens


@dataclass(frozen=True, slots=True)
class Said:
    """A piece of text."""

    text: str


@dataclass(frozen=True, slots=True)
class Thought:
    """A piece of a thought; only its length matters to us."""

    length: int


@dataclass(frozen=True, slots=True)
class CallOpened:
    """A tool call begins."""

    call_id: str
    tool: str


@dataclass(frozen=True, slots=True)
class CallInput:
    """A piece of a tool call's input, as JSON text cut anywhere."""

    call_id: str
    json: str


@dataclass(frozen=True, slots=True)
class BlockClosed:
    """A content block is complete. Of a tool call the input is still the JSON text, which may be invalid."""

    block: Block
    input_json: str | None = None


@dataclass(frozen=True, slots=True)
class TurnClosed:
    """The turn is complete."""

    stop_reason: str
    tokens: Tokens


ModelEvent = TurnOpened | Said | Thought | CallOpened | CallInput | BlockClosed | TurnClosed


@dataclass(eq=False)
class ModelError(Exception):
    """The model did not answer as it should. Its text is for people and holds nothing of the request."""

    reason: str
    message: str
    retryable: bool = False
    retry_after: float | None = field(default=None)
    """Seconds that the model asks us to wait."""
    begun: bool = False
    """Whether the stream had begun: then it has a price."""

    def __str__(self) -> str:
        """The reason and the sentence."""
        return f"{self.reason}: {self.message}"


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model that the vendor offers."""

    name: str
    """By which it is asked for."""
    display_name: str = ""
    """For people."""
    max_input_tokens: int = 0
    """0 where the vendor does not say."""
    max_output_tokens: int = 0
    """0 where the vendor does not say."""


class ModelList(Protocol):
    """Something that knows which models there are. Its methods raise ``ModelError``."""

    async def models(self) -> Sequence[ModelInfo] | None:
        """All that may be asked for; ``None`` where it has no such list."""

    async def model(self, name: str) -> ModelInfo | None:
        """One by its name, which may be another one than the list has; ``None`` where there is none."""


class LanguageModel(ModelList, Protocol):
    """Something that answers turns."""

    def stream(self, request: TurnRequest) -> AsyncGenerator[ModelEvent, None]:
        """The turn's events; the last one is ``TurnClosed``. Raises ``ModelError``. Closing it stops the model."""
