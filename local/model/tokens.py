"""A stable estimate of tokens: no tokenizer's exact count, but the same for the same text, always."""

import re
from collections.abc import Iterator
from typing import Any

import orjson

# About what a byte-pair encoding makes of prose and markup: short words with their leading space
# whole, longer ones in pieces, runs of spaces together, punctuation in pairs.
_PIECE = re.compile(r" ?[^\W_]{1,7}|\s{1,8}|[^\w\s]{1,2}|_")

IMAGE_TOKENS = 1_500
TOOL_CALL_TOKENS = 8
MESSAGE_TOKENS = 4


def count(text: str) -> int:
    """Tokens of `text`."""
    return len(_PIECE.findall(text))


def cut(text: str, limit: int) -> str:
    """The longest beginning of `text` that has at most `limit` tokens."""
    if limit <= 0:
        return ""
    end = 0
    for number, piece in enumerate(_PIECE.finditer(text), start=1):
        end = piece.end()
        if number == limit:
            break
    return text[:end]


def fragments(text: str, size: int) -> Iterator[tuple[str, int]]:
    """`text` in order, in fragments of `size` tokens, each with its tokens."""
    start = 0
    number = 0
    end = 0
    for piece in _PIECE.finditer(text):
        number += 1
        end = piece.end()
        if number == size:
            yield text[start:end], number
            start, number = end, 0
    if number:
        yield text[start:end], number


def count_block(block: Any) -> int:
    """Tokens of one block of a request's content, of a tool or of a system block."""
    if isinstance(block, str):
        return count(block)
    kind = block.get("type")
    if kind == "image":
        return IMAGE_TOKENS
    if kind == "text":
        return count(block["text"])
    if kind == "document" and block.get("source", {}).get("type") == "base64":
        return IMAGE_TOKENS * 2
    if kind == "tool_result" and isinstance(block.get("content"), list):
        return MESSAGE_TOKENS + sum(count_block(part) for part in block["content"])
    return MESSAGE_TOKENS + count(orjson.dumps(without_cache_control(block)).decode())


def without_cache_control(block: dict[str, Any]) -> dict[str, Any]:
    """A block as the model sees it: where the breakpoints stand is no part of it."""
    return {key: value for key, value in block.items() if key != "cache_control"}
