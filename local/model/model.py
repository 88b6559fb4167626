"""What a conversation is made of: what was said so far, and what is said next."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

# What is said before a pause: a conversation may end with it, as a paused one is sent back.
PAUSE = "I pause here and go on when the conversation is sent back."

Role = Literal["user", "assistant", "system"]


@dataclass(frozen=True, slots=True)
class Text:
    """Plain text, in either direction."""

    text: str


@dataclass(frozen=True, slots=True)
class Thinking:
    """A thought; `signature` is empty until the wire layer signs it."""

    thinking: str
    signature: str = ""


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A call of a tool; `id` is empty until the wire layer names it."""

    name: str
    input: Mapping[str, object]
    id: str = ""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool answered, its text only."""

    tool_use_id: str
    text: str
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Attachment:
    """A block that the composer does not read, such as an image."""

    kind: str


InputBlock = Text | Thinking | ToolUse | ToolResult | Attachment
OutputBlock = Text | Thinking | ToolUse


@dataclass(frozen=True, slots=True)
class Turn:
    """Consecutive messages of one role, as one."""

    role: Role
    blocks: tuple[InputBlock, ...]


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that the caller offers."""

    name: str
    eager: bool = False
    schema: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Conversation:
    """All that an answer may depend on."""

    turns: tuple[Turn, ...]
    tools: tuple[Tool, ...] = ()
    system: str = ""
    parallel_tools: bool = True
    thinks: bool = True

    def has_tool(self, name: str) -> bool:
        """Whether the caller offers the tool `name`."""
        return any(tool.name == name for tool in self.tools)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer, by kind. `input_tokens` excludes what the cache holds."""

    input_tokens: int
    cache_creation_5m: int = 0
    cache_creation_1h: int = 0
    cache_read: int = 0

    @property
    def cache_creation(self) -> int:
        """Tokens written to the cache, whatever their lifetime."""
        return self.cache_creation_5m + self.cache_creation_1h


@dataclass(frozen=True, slots=True)
class Reply:
    """What the composer says next. It ends the turn unless it calls a tool."""

    blocks: tuple[OutputBlock, ...] = field(default=())
