"""An answer, fixed before its first byte leaves: its blocks as they will be said, cut where they must be."""

import json
import secrets
import string
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from jiter import from_json

from local.model import tokens
from local.model.model import Conversation, OutputBlock, Reply, Text, Thinking, ToolUse, Usage
from local.model.signatures import Prefix

StopReason = Literal["end_turn", "tool_use", "max_tokens", "stop_sequence", "refusal", "pause_turn"]
_ALPHABET = string.ascii_letters + string.digits


def new_id(prefix: str) -> str:
    """An identifier in the vendor's form, such as `msg_01…`."""
    return f"{prefix}_01" + "".join(secrets.choice(_ALPHABET) for _ in range(22))


@dataclass(frozen=True, slots=True)
class Saying:
    """One block as it is said: `payload` arrives in deltas between `start` and the block's end."""

    kind: Literal["text", "thinking", "tool_use"]
    start: dict[str, Any]
    payload: str
    tokens: int
    signature: str = ""
    # Where a tool's input may not be shown in parts: the ends of its properties in `payload`.
    bursts: tuple[int, ...] = ()
    finished: bool = True

    def block(self) -> dict[str, Any]:
        """The block as an answer that isn't streamed holds it."""
        if self.kind == "text":
            return self.start | {"text": self.payload}
        if self.kind == "thinking":
            return self.start | {"thinking": self.payload, "signature": self.signature}
        whole = from_json(self.payload.encode() or b"{}", partial_mode=not self.finished)
        return self.start | {"input": whole}


@dataclass(frozen=True, slots=True)
class Answer:
    """All of one answer."""

    id: str
    model: str
    sayings: tuple[Saying, ...]
    stop_reason: StopReason
    usage: Usage
    stop_sequence: str | None = None

    @property
    def output_tokens(self) -> int:
        """Tokens of the whole answer; an answer that says nothing still costs one."""
        return max(1, sum(saying.tokens for saying in self.sayings))

    @property
    def thinking_tokens(self) -> int:
        """How many of the output tokens were thoughts."""
        return sum(saying.tokens for saying in self.sayings if saying.kind == "thinking")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What ends an answer early."""

    max_tokens: int
    stop_sequences: tuple[str, ...] = ()


def compose(
    reply: Reply, talk: Conversation, prefix: Prefix, bounds: Bounds, model: str, usage: Usage
) -> Answer:
    """The answer that says `reply` within `bounds`."""
    eager = {tool.name for tool in talk.tools if tool.eager}
    said: list[Saying] = []
    stop: StopReason = "tool_use" if _calls(reply.blocks) else "end_turn"
    matched: str | None = None
    left = bounds.max_tokens
    for block in reply.blocks:
        saying = _say(block, prefix, eager)
        saying, matched = _until_stop_sequence(saying, bounds.stop_sequences)
        fitting = _fit(saying, left)
        if fitting is None or not fitting.finished:
            said += [fitting] if fitting is not None else []
            stop, matched = "max_tokens", None
            break
        said.append(fitting)
        left -= fitting.tokens
        if matched is not None:
            stop = "stop_sequence"
            break
    return Answer(new_id("msg"), model, tuple(said), stop, usage, matched)


def _calls(blocks: Iterable[OutputBlock]) -> bool:
    return any(isinstance(block, ToolUse) for block in blocks)


def _say(block: OutputBlock, prefix: Prefix, eager: set[str]) -> Saying:
    if isinstance(block, Text):
        return Saying("text", {"type": "text", "text": ""}, block.text, tokens.count(block.text))
    if isinstance(block, Thinking):
        return Saying(
            "thinking",
            {"type": "thinking", "thinking": "", "signature": ""},
            block.thinking,
            tokens.count(block.thinking),
            prefix.sign(block.thinking),
        )
    payload, ends = _encode(block)
    return Saying(
        "tool_use",
        {
            "type": "tool_use",
            "id": new_id("toolu"),
            "name": block.name,
            "input": {},
            "caller": {"type": "direct"},
        },
        payload,
        tokens.TOOL_CALL_TOKENS + tokens.count(payload),
        bursts=() if block.name in eager else ends,
    )


def _encode(call: ToolUse) -> tuple[str, tuple[int, ...]]:
    """The JSON of a call's input, and where in it each property ends."""
    parts: list[str] = []
    ends: list[int] = []
    length = 0
    for number, (key, value) in enumerate(call.input.items()):
        lead = "{" if number == 0 else ", "
        part = f"{lead}{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}"
        parts.append(part)
        length += len(part)
        ends.append(length)
    payload = "".join(parts) + "}" if parts else "{}"
    return payload, (*ends[:-1], len(payload))


def _until_stop_sequence(saying: Saying, stops: tuple[str, ...]) -> tuple[Saying, str | None]:
    """The saying up to the first stop sequence, which is itself not said."""
    if saying.kind != "text":
        return saying, None
    found = [(at, stop) for stop in stops if stop and (at := saying.payload.find(stop)) >= 0]
    if not found:
        return saying, None
    at, stop = min(found)
    text = saying.payload[:at]
    return Saying("text", saying.start, text, tokens.count(text)), stop


def _fit(saying: Saying, limit: int) -> Saying | None:
    """The saying within `limit` tokens: whole, cut in the middle, or none of it."""
    if saying.tokens <= limit:
        return saying
    overhead = tokens.TOOL_CALL_TOKENS if saying.kind == "tool_use" else 0
    if limit <= overhead:
        return None
    payload = tokens.cut(saying.payload, limit - overhead)
    if saying.bursts:
        # Only whole properties are ever shown of a tool's input that isn't eager.
        shown = max((end for end in saying.bursts if end <= len(payload)), default=0)
        payload = payload[:shown]
    ends = tuple(end for end in saying.bursts if end <= len(payload))
    return Saying(saying.kind, saying.start, payload, limit, "", ends, finished=False)
