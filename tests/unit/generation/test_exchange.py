"""What is sent of a conversation, and how large its next turn will be."""

from __future__ import annotations

from typing import Any

from services.generation.agent.exchange import next_prompt, sendable
from services.generation.model import Message, Tokens


def said(text: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": text}]


def test_an_empty_message_is_left_out_and_roles_still_alternate() -> None:
    sent = sendable(
        [
            Message("user", said("a")),
            Message("assistant", [], "end_turn"),
            Message("user", said("b")),
            Message("assistant", said("c"), "end_turn"),
            Message("user", said("d")),
        ]
    )
    assert sent == [
        {"role": "user", "content": [*said("a"), *said("b")]},
        {"role": "assistant", "content": said("c")},
        {"role": "user", "content": said("d")},
    ]


def test_what_tools_answered_counts_for_the_next_turn() -> None:
    last = Tokens(read=100, written=50, cache_read=1_000)
    talk = [Message("user", said("x")), Message("assistant", said("y"))]
    short = next_prompt("", [*talk, Message("user", said("z"))], last)
    long = next_prompt("", [*talk, Message("user", said("z" * 30_001))], last)
    assert short.cache_read == long.cache_read == 1_100
    assert short.cache_write_5m > 50
    assert long.cache_write_5m - short.cache_write_5m == 10_000


def test_a_model_that_uses_no_cache_reads_everything_at_its_price() -> None:
    talk = [Message("user", said("x")), Message("assistant", said("y"))]
    assert next_prompt("", talk, Tokens(read=1_000, written=500)) == Tokens(read=1_500)


def test_what_nobody_has_counted_yet_is_estimated_by_its_length() -> None:
    before = next_prompt("s" * 3_000, [Message("user", said("x" * 3_000))], Tokens())
    assert 2_000 <= before.read < 2_100
    assert before.prompt == before.read
