"""Failures on request, as the vendor's own SDK meets them."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import anthropic
import httpx2
import pytest
from anthropic import AsyncAnthropic
from jiter import from_json

from tests.fixtures.model import ModelServer

FIELDS = {"path": {"type": "string"}, "content": {"type": "string"}}
TOOL: Any = {
    "name": "write_file",
    "input_schema": {"type": "object", "properties": FIELDS, "required": list(FIELDS)},
    "eager_input_streaming": True,
}


@pytest.fixture
async def client(model_server: ModelServer) -> AsyncIterator[AsyncAnthropic]:
    async with AsyncAnthropic(
        base_url=model_server.url, api_key=model_server.api_key, max_retries=0
    ) as made:
        yield made


async def ask(client: AsyncAnthropic, fault: str, **fields: Any) -> list[Any]:
    options: dict[str, Any] = {
        "model": "claude-sonnet-5-5",
        "max_tokens": 64_000,
        "messages": [{"role": "user", "content": f"a to-do list ({fault})"}],
        "tools": [TOOL],
        "timeout": 30,
        "extra_headers": {"x-local-model-fault": fault},
    }
    stream = await client.messages.create(stream=True, **(options | fields))
    return [event async for event in stream]


def stop_reason(events: list[Any]) -> str:
    return next(str(event.delta.stop_reason) for event in events if event.type == "message_delta")


@pytest.mark.parametrize(
    ("fault", "error", "status"),
    [
        ("429", anthropic.RateLimitError, 429),
        ("500", anthropic.InternalServerError, 500),
        ("503", anthropic.InternalServerError, 503),
        ("529", anthropic.InternalServerError, 529),
    ],
)
async def test_a_status_is_answered_until_its_count_is_used_up(
    client: AsyncAnthropic, fault: str, error: type[anthropic.APIStatusError], status: int
) -> None:
    for _ in range(2):
        with pytest.raises(error) as caught:
            await ask(client, f"{fault}:2")
        assert caught.value.status_code == status
    assert stop_reason(await ask(client, f"{fault}:2")) == "tool_use"


async def test_an_error_event_comes_in_mid_stream(client: AsyncAnthropic) -> None:
    with pytest.raises(anthropic.APIStatusError) as caught:
        await ask(client, "error:1")
    assert caught.value.type == "overloaded_error"
    assert stop_reason(await ask(client, "error:1")) == "tool_use"


async def test_a_cut_connection_is_a_protocol_error(client: AsyncAnthropic) -> None:
    with pytest.raises(httpx2.RemoteProtocolError):
        await ask(client, "cut")


async def test_a_stalled_stream_runs_into_the_callers_timeout(client: AsyncAnthropic) -> None:
    with pytest.raises(httpx2.ReadTimeout):
        await ask(client, "stall", timeout=httpx2.Timeout(10, read=0.5))


async def test_a_silent_end_has_no_stop(client: AsyncAnthropic) -> None:
    events = await ask(client, "eof")
    assert events[0].type == "message_start"
    assert "message_stop" not in {event.type for event in events}


@pytest.mark.parametrize("reason", ["max_tokens", "refusal", "pause_turn"])
async def test_an_answer_stops_for_the_reason_that_was_asked_for(
    client: AsyncAnthropic, reason: str
) -> None:
    assert stop_reason(await ask(client, reason)) == reason


async def test_a_paused_conversation_sent_back_goes_on(client: AsyncAnthropic) -> None:
    paused = await client.messages.create(
        model="claude-sonnet-5-5",
        max_tokens=1_000,
        messages=[{"role": "user", "content": "a timer"}],
        extra_headers={"x-local-model-fault": "pause_turn"},
    )
    turns: list[Any] = [
        {"role": "user", "content": "a timer"},
        {"role": "assistant", "content": [block.model_dump() for block in paused.content]},
    ]
    assert stop_reason(await ask(client, "", messages=turns)) == "tool_use"


async def test_a_tool_input_is_not_closed(client: AsyncAnthropic) -> None:
    with pytest.raises(ValueError, match="EOF while parsing"):
        await _whole_inputs(client, "invalid-json")
    assert await _whole_inputs(client, "")


async def _whole_inputs(client: AsyncAnthropic, fault: str) -> list[object]:
    parts: dict[int, bytes] = {}
    for event in await ask(client, fault):
        if event.type == "content_block_delta" and event.delta.type == "input_json_delta":
            text = event.delta.partial_json.encode()
            parts[event.index] = parts.get(event.index, b"") + text
    return [from_json(part) for part in parts.values()]


async def test_a_setting_fails_the_first_requests_and_a_header_that_is_none_is_named(
    start_model: Callable[..., ModelServer],
) -> None:
    server = start_model(faults="529:2")
    async with AsyncAnthropic(base_url=server.url, api_key=server.api_key, max_retries=0) as client:
        for _ in range(2):
            with pytest.raises(anthropic.InternalServerError):
                await ask(client, "")
        assert stop_reason(await ask(client, "")) == "tool_use"
        with pytest.raises(anthropic.BadRequestError, match="x-local-model-fault: 'fire' is no"):
            await ask(client, "fire")
