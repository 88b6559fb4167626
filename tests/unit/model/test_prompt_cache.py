"""What the prompt cache counts, with a clock that the test moves."""

from typing import Any

import orjson

from local.model import parse
from local.model.model import Usage
from local.model.prompt_cache import MIN_TOKENS, PromptCache, count
from local.model.wire import MessagesBody

LONG = "a long and steady system prompt " * 200
MARK = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}


class Clock:
    """Seconds, moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def body(
    system: str = LONG, mark: dict[str, str] | None = None, *more: dict[str, Any]
) -> MessagesBody:
    first: dict[str, Any] = {"type": "text", "text": system}
    if mark:
        first["cache_control"] = mark
    document = {
        "model": "claude-sonnet-5-5",
        "max_tokens": 10,
        "system": [first],
        "messages": [{"role": "user", "content": "hello"}, *more],
    }
    return parse.messages_body(orjson.dumps(document), "2026-10-21")


def total(usage: Usage) -> int:
    return usage.input_tokens + usage.cache_creation + usage.cache_read


def test_without_a_breakpoint_everything_is_input() -> None:
    cache = PromptCache(Clock())
    assert cache.use(body()) == Usage(input_tokens=count(body()))
    assert cache.use(body()) == Usage(input_tokens=count(body()))


def test_a_breakpoint_is_written_once_and_read_afterwards() -> None:
    cache = PromptCache(Clock())
    first, second = cache.use(body(mark=HOUR)), cache.use(body(mark=HOUR))
    assert first.cache_creation_1h > MIN_TOKENS
    assert (first.cache_read, first.cache_creation_5m) == (0, 0)
    assert (second.cache_read, second.cache_creation) == (first.cache_creation_1h, 0)
    assert total(first) == total(second) == count(body())


def test_a_read_renews_the_lifetime_and_without_one_it_ends() -> None:
    clock = Clock()
    cache = PromptCache(clock)
    cache.use(body(mark=MARK))
    clock.now = 299
    assert cache.use(body(mark=MARK)).cache_read > 0
    clock.now = 299 + 299
    assert cache.use(body(mark=MARK)).cache_read > 0
    clock.now = 299 + 299 + 301
    assert cache.use(body(mark=MARK)).cache_read == 0


def test_a_growing_conversation_reads_its_beginning_and_writes_the_rest() -> None:
    cache = PromptCache(Clock())
    answer = {"role": "assistant", "content": "an answer"}
    more = {
        "role": "user",
        "content": [{"type": "text", "text": "and more", "cache_control": MARK}],
    }
    first = cache.use(body(LONG, MARK))
    second = cache.use(body(LONG, MARK, answer, more))
    assert second.cache_read == first.cache_creation_5m
    assert second.cache_creation_5m > 0
    assert second.input_tokens == 0


def test_a_short_prefix_is_not_cached() -> None:
    cache = PromptCache(Clock())
    cache.use(body("short", MARK))
    assert cache.use(body("short", MARK)).cache_read == 0


def test_another_prefix_reads_nothing() -> None:
    cache = PromptCache(Clock())
    cache.use(body(mark=MARK))
    assert cache.use(body("x" + LONG, MARK)).cache_read == 0
