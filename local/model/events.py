"""An answer as server-sent events, each with the tokens that it costs to say."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from local.model import tokens
from local.model.answer import Answer, Saying
from local.model.model import Usage

_DELTA = {
    "text": ("text_delta", "text"),
    "thinking": ("thinking_delta", "thinking"),
    "tool_use": ("input_json_delta", "partial_json"),
}
# Tokens in one delta of an input that was withheld until it was whole.
BURST_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Frame:
    """Bytes to send, and how many tokens were made for them; a frame may be only time."""

    data: bytes
    tokens: int = 0


def frames(answer: Answer, delta_tokens: int) -> Iterator[Frame]:
    """Every event of `answer` in order, `delta_tokens` tokens to a delta."""
    yield _frame("message_start", {"message": opening(answer)})
    for index, saying in enumerate(answer.sayings):
        yield _frame("content_block_start", {"index": index, "content_block": saying.start})
        if index == 0:
            yield _frame("ping", {})
        yield from _deltas(index, saying, delta_tokens)
        yield _frame("content_block_stop", {"index": index})
    yield _frame("message_delta", _ending(answer))
    yield _frame("message_stop", {})


def error_frame(body: dict[str, Any]) -> Frame:
    """An error in the middle of a stream."""
    return Frame(b"event: error\ndata: " + orjson.dumps(body) + b"\n\n")


def message(answer: Answer) -> dict[str, Any]:
    """The whole answer, as one that isn't streamed has it."""
    return _message(
        answer,
        [saying.block() for saying in answer.sayings],
        _usage(answer.usage, answer.output_tokens, answer.thinking_tokens),
    ) | {"stop_reason": answer.stop_reason, "stop_sequence": answer.stop_sequence}


def opening(answer: Answer) -> dict[str, Any]:
    """The answer before its first token."""
    return _message(answer, [], _usage(answer.usage, 1, 0))


def _message(answer: Answer, content: list[Any], usage: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": answer.id,
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
        "usage": usage,
    }


def _usage(usage: Usage, output_tokens: int, thinking_tokens: int) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "cache_creation_input_tokens": usage.cache_creation,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_creation_5m,
            "ephemeral_1h_input_tokens": usage.cache_creation_1h,
        },
        "output_tokens": output_tokens,
        "output_tokens_details": {"thinking_tokens": thinking_tokens},
        "service_tier": "standard",
        "inference_geo": "local",
    }


def _deltas(index: int, saying: Saying, size: int) -> Iterator[Frame]:
    if saying.kind == "tool_use":
        yield _delta(index, saying, "", tokens.TOOL_CALL_TOKENS)
    if saying.bursts or (not saying.finished and not saying.payload):
        yield from _bursts(index, saying)
    else:
        for text, cost in tokens.fragments(saying.payload, size):
            yield _delta(index, saying, text, cost)
    if saying.signature:
        delta = {"type": "signature_delta", "signature": saying.signature}
        yield _frame("content_block_delta", {"index": index, "delta": delta})


def _bursts(index: int, saying: Saying) -> Iterator[Frame]:
    """First the time that a property takes to be made, then the property at once."""
    start = 0
    for end in saying.bursts:
        part = saying.payload[start:end]
        yield Frame(b"", tokens.count(part))
        for text, _ in tokens.fragments(part, BURST_TOKENS):
            yield _delta(index, saying, text, 0)
        start = end


def _delta(index: int, saying: Saying, text: str, cost: int) -> Frame:
    kind, field = _DELTA[saying.kind]
    delta = {"type": kind, field: text}
    return _frame("content_block_delta", {"index": index, "delta": delta}, cost)


def _ending(answer: Answer) -> dict[str, Any]:
    usage = _usage(answer.usage, answer.output_tokens, answer.thinking_tokens)
    for only_at_start in ("cache_creation", "service_tier", "inference_geo"):
        del usage[only_at_start]
    delta = {
        "stop_reason": answer.stop_reason,
        "stop_sequence": answer.stop_sequence,
        "stop_details": None,
    }
    return {"delta": delta, "usage": usage}


def _frame(name: str, fields: dict[str, Any], cost: int = 0) -> Frame:
    document = orjson.dumps({"type": name, **fields})
    return Frame(b"event: " + name.encode() + b"\ndata: " + document + b"\n\n", cost)
