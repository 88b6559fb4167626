"""A conversation as it is sent, and how much there will be to read in its next turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from services.generation.agent.size import characters
from services.generation.language_model import Block
from services.generation.model import Message, Tokens
from services.generation.prices import CHARACTERS_PER_TOKEN


def sendable(messages: Sequence[Message]) -> list[Block]:
    """The messages as the API takes them: none is empty, and no role speaks twice in a row."""
    sent: list[Message] = []
    for message in messages:
        if not message.content:
            continue
        if sent and sent[-1].role == message.role:
            sent[-1] = replace(sent[-1], content=[*sent[-1].content, *message.content])
        else:
            sent.append(message)
    return [{"role": message.role, "content": message.content} for message in sent]


def next_prompt(system: str, messages: Sequence[Message], last: Tokens) -> Tokens:
    """What the next turn reads, by what the ``last`` one used; all of it by its length where that is not known."""
    if not last.prompt:
        return Tokens(read=_estimate(messages) + len(system) // CHARACTERS_PER_TOKEN)
    added = last.written + _estimate(_after_last_answer(messages))
    if last.cache_read or last.cache_write_5m or last.cache_write_1h:
        return Tokens(cache_read=last.prompt, cache_write_5m=added)
    return Tokens(read=last.prompt + added)


def _after_last_answer(messages: Sequence[Message]) -> Sequence[Message]:
    answers = [index for index, message in enumerate(messages) if message.role == "assistant"]
    return messages[answers[-1] + 1 :] if answers else messages


def _estimate(messages: Sequence[Message]) -> int:
    return characters(message.content for message in messages) // CHARACTERS_PER_TOKEN
