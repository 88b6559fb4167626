"""The Messages API, driven by the vendor's own SDK, unmodified."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import anthropic
import httpx
import httpx2
import pytest
from anthropic import AsyncAnthropic
from anthropic.types import Message, RawMessageStreamEvent

from tests.fixtures.model import ModelServer

MODEL = "claude-sonnet-5-5"
PROMPT = "a landing page for a bakery in Lisbon"
ASK: list[Any] = [{"role": "user", "content": PROMPT}]
DEADLINE_SECONDS = 60


def write_file(*, eager: bool) -> dict[str, Any]:
    fields = {"path": {"type": "string"}, "content": {"type": "string"}}
    schema = {"type": "object", "properties": fields, "required": list(fields)}
    tool = {"name": "write_file", "description": "Write a file", "input_schema": schema}
    return tool | ({"eager_input_streaming": True} if eager else {})


EAGER: list[Any] = [write_file(eager=True)]


def client_of(server: ModelServer, **options: Any) -> AsyncAnthropic:
    return AsyncAnthropic(base_url=server.url, api_key=server.api_key, **options)


@pytest.fixture
async def client(model_server: ModelServer) -> AsyncIterator[AsyncAnthropic]:
    async with client_of(model_server, max_retries=0) as made:
        yield made


async def events_of(client: AsyncAnthropic, **fields: Any) -> list[RawMessageStreamEvent]:
    options: dict[str, Any] = {
        "model": MODEL,
        "max_tokens": 64_000,
        "messages": ASK,
        "tools": EAGER,
    }
    options |= fields
    stream = await client.messages.create(stream=True, **options)
    return [event async for event in stream]


def inputs(events: list[RawMessageStreamEvent]) -> list[str]:
    """The input of each tool call as it was streamed, in order."""
    found: dict[int, list[str]] = {}
    for event in events:
        if event.type == "content_block_delta" and event.delta.type == "input_json_delta":
            found.setdefault(event.index, []).append(event.delta.partial_json)
    return ["".join(parts) for parts in found.values()]


async def test_a_stream_has_every_event_in_the_vendors_order(client: AsyncAnthropic) -> None:
    events = await events_of(client)
    kinds = [event.type for event in events]
    assert (kinds[0], kinds[-2:]) == ("message_start", ["message_delta", "message_stop"])
    open_block = None
    for event in events[1:-2]:
        if event.type == "content_block_start":
            assert open_block is None
            open_block = event.index
        else:
            assert event.index == open_block  # type: ignore[union-attr]  # deltas and stops only
            open_block = None if event.type == "content_block_stop" else open_block
    start, end = events[0], events[-2]
    assert start.type == "message_start"
    assert start.message.stop_reason is None
    assert start.message.content == []
    assert end.type == "message_delta"
    assert end.delta.stop_reason == "tool_use"
    assert end.usage.input_tokens == start.message.usage.input_tokens
    assert end.usage.output_tokens > 1_000


async def test_eager_input_streams_in_small_fragments_and_is_whole_in_the_end(
    client: AsyncAnthropic,
) -> None:
    events = await events_of(client)
    deltas = [
        event.delta.partial_json
        for event in events
        if event.type == "content_block_delta" and event.delta.type == "input_json_delta"
    ]
    files = [json.loads(text) for text in inputs(events)]
    assert [file["path"] for file in files if file["path"] == "index.html"] == ["index.html"]
    assert all(list(file) == ["path", "content"] for file in files)
    assert max(map(len, deltas)) < 200
    assert deltas[0] == ""


async def test_without_eager_streaming_properties_arrive_whole(client: AsyncAnthropic) -> None:
    events = await events_of(client, tools=[write_file(eager=False)])
    eager = await events_of(client)
    assert inputs(events) == inputs(eager)
    assert len(events) < len(eager)


async def test_the_streaming_helper_and_the_plain_answer_agree(client: AsyncAnthropic) -> None:
    options: dict[str, Any] = {
        "model": MODEL, "max_tokens": 64_000, "messages": ASK, "tools": EAGER,
    }  # fmt: skip
    async with client.messages.stream(**options) as stream:
        streamed = await stream.get_final_message()
    # The SDK refuses a plain request for many tokens unless a timeout is set.
    plain = await client.messages.create(**options, timeout=60)
    assert _said(streamed) == _said(plain)
    assert streamed.usage.output_tokens == plain.usage.output_tokens
    assert plain.stop_reason == "tool_use"
    assert plain.model == MODEL


def _said(message: Message) -> list[Any]:
    return [block.model_dump(exclude={"id"}) for block in message.content]


async def test_a_whole_conversation_goes_through_verbatim(client: AsyncAnthropic) -> None:
    messages = list(ASK)
    for _ in range(2):
        answer = await client.messages.create(
            model=MODEL, max_tokens=30_000, tools=EAGER, messages=messages, timeout=60
        )
        messages.append({"role": "assistant", "content": answer.content})
        results = [
            {"type": "tool_result", "tool_use_id": block.id, "content": "written"}
            for block in answer.content
            if block.type == "tool_use"
        ]
        if results:
            messages.append({"role": "user", "content": results})
    assert answer.stop_reason == "end_turn"
    assert [block.type for block in answer.content] == ["text"]


async def test_thoughts_are_signed_and_a_changed_one_is_refused(client: AsyncAnthropic) -> None:
    answer = await client.messages.create(
        model=MODEL, max_tokens=30_000, tools=EAGER, messages=ASK, timeout=60
    )
    blocks = [block.model_dump() for block in answer.content]
    assert [block["type"] for block in blocks].count("thinking") == 2
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": "ok"}
        for block in blocks
        if block["type"] == "tool_use"
    ]
    blocks[0]["thinking"] += "!"
    turns: list[Any] = [
        *ASK,
        {"role": "assistant", "content": blocks},
        {"role": "user", "content": results},
    ]
    with pytest.raises(anthropic.BadRequestError, match="Invalid `signature`"):
        await client.messages.create(model=MODEL, max_tokens=1_000, tools=EAGER, messages=turns)


async def test_between_tools_leaves_out_the_opening_thought(client: AsyncAnthropic) -> None:
    events = await events_of(client, thinking={"type": "between_tools"})
    starts = [event.content_block.type for event in events if event.type == "content_block_start"]
    assert starts[0] == "text"


@pytest.mark.parametrize("limit", [1, 60, 100, 2_000])
@pytest.mark.parametrize("eager", [True, False])
async def test_max_tokens_cuts_in_the_middle_of_a_block(
    client: AsyncAnthropic, limit: int, *, eager: bool
) -> None:
    events = await events_of(client, max_tokens=limit, tools=[write_file(eager=eager)])
    end = events[-2]
    assert end.type == "message_delta"
    assert end.delta.stop_reason == "max_tokens"
    assert end.usage.output_tokens == limit
    if limit == 2_000 and eager:
        with pytest.raises(json.JSONDecodeError):
            json.loads(inputs(events)[-1])


async def test_a_cut_call_has_what_was_said_of_its_input(client: AsyncAnthropic) -> None:
    answer = await client.messages.create(
        model=MODEL, max_tokens=2_000, tools=EAGER, messages=ASK, timeout=60
    )
    last = answer.content[-1]
    assert last.type == "tool_use"
    assert answer.stop_reason == "max_tokens"
    assert last.input["path"]


async def test_zero_tokens_only_warm_the_cache(client: AsyncAnthropic) -> None:
    answer = await client.messages.create(model=MODEL, max_tokens=0, messages=ASK)
    assert (answer.content, answer.stop_reason) == ([], "max_tokens")


async def test_a_stop_sequence_ends_the_text(client: AsyncAnthropic) -> None:
    answer = await client.messages.create(
        model=MODEL, max_tokens=900, messages=ASK, stop_sequences=["would build"]
    )
    assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", "would build")
    assert answer.content[0].type == "text"
    assert answer.content[0].text.endswith("I ")


async def test_the_cache_is_counted_and_totals_stay_the_same(client: AsyncAnthropic) -> None:
    system: Any = [
        {
            "type": "text",
            "text": "Build fine sites. " * 400,
            "cache_control": {"type": "ephemeral", "ttl": "1h"},
        }
    ]
    options: dict[str, Any] = {"model": MODEL, "messages": ASK, "system": system}
    counted = await client.messages.count_tokens(**options)
    first = (await client.messages.create(max_tokens=50, **options)).usage
    second = (await client.messages.create(max_tokens=50, **options)).usage
    assert first.cache_creation is not None
    assert first.cache_creation.ephemeral_1h_input_tokens == second.cache_read_input_tokens
    assert second.cache_creation_input_tokens == 0
    assert second.cache_read_input_tokens
    assert second.input_tokens + second.cache_read_input_tokens == counted.input_tokens


async def test_the_models_say_what_they_are(client: AsyncAnthropic) -> None:
    listed = [model async for model in client.models.list(limit=2)]
    assert listed[0].id == "sandwright-composer-1"
    assert MODEL in [model.id for model in listed]
    assert all("composer (local, no network)" in model.display_name for model in listed)
    retrieved = await client.models.retrieve("claude-opus-5-5")
    assert retrieved.max_tokens == 128_000
    assert retrieved.capabilities is not None
    assert not retrieved.capabilities.thinking.types.disabled.supported


async def test_errors_have_the_vendors_shape_status_and_class(
    client: AsyncAnthropic, model_server: ModelServer
) -> None:
    with pytest.raises(anthropic.BadRequestError) as bad:
        await client.messages.create(model=MODEL, max_tokens=10, messages=[])
    assert bad.value.type == "invalid_request_error"
    assert bad.value.request_id == bad.value.body["request_id"]  # type: ignore[index]  # a JSON object
    with pytest.raises(anthropic.NotFoundError, match="model: gpt-x"):
        await client.messages.create(model="gpt-x", max_tokens=10, messages=ASK)
    with pytest.raises(anthropic.NotFoundError):
        await client.models.retrieve("gpt-x")
    async with AsyncAnthropic(base_url=model_server.url, api_key="wrong") as stranger:
        with pytest.raises(anthropic.AuthenticationError):
            await stranger.messages.create(model=MODEL, max_tokens=10, messages=ASK)


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "kind"),
    [
        ("GET", "/v1/messages", {}, 405, "invalid_request_error"),
        ("GET", "/nowhere", {}, 404, "not_found_error"),
        ("POST", "/v1/messages", {"anthropic-version": ""}, 400, "invalid_request_error"),
        ("POST", "/v1/messages", {"authorization": ""}, 401, "authentication_error"),
        ("GET", "/v1/models?limit=0", {}, 400, "invalid_request_error"),
        ("GET", "/v1/models?after_id=none", {}, 404, "not_found_error"),
    ],
)
async def test_plain_requests_are_refused_with_the_right_status(
    model_server: ModelServer,
    method: str,
    path: str,
    headers: dict[str, str],
    status: int,
    kind: str,
) -> None:
    base = {"authorization": "Bearer test-key", "anthropic-version": "2026-10-21"} | headers
    async with httpx.AsyncClient(base_url=model_server.url) as plain:
        answer = await plain.request(method, path, headers=base, content=b"{}")
    document = answer.json()
    assert (answer.status_code, document["type"]) == (status, "error")
    assert document["error"]["type"] == kind
    assert answer.headers["request-id"] == document["request_id"]


async def test_a_key_in_the_older_header_opens_too(model_server: ModelServer) -> None:
    headers = {"x-api-key": model_server.api_key, "anthropic-version": "2023-06-01"}
    async with httpx.AsyncClient(base_url=model_server.url, headers=headers) as plain:
        assert (await plain.get("/v1/models")).status_code == 200


async def test_a_body_over_the_limit_is_refused(start_model: Callable[..., ModelServer]) -> None:
    long: Any = [{"role": "user", "content": "x" * 3_000}]
    async with client_of(start_model(max_body_bytes=2_000), max_retries=0) as client:
        with pytest.raises(anthropic.RequestTooLargeError) as caught:
            await client.messages.create(model=MODEL, max_tokens=10, messages=long)
    assert caught.value.status_code == 413


async def test_the_ledger_has_what_the_caller_was_told(
    client: AsyncAnthropic, model_server: ModelServer
) -> None:
    answer = await client.messages.with_raw_response.create(
        model=MODEL, max_tokens=500, tools=EAGER, messages=ASK, metadata={"user_id": "tester"}
    )
    usage = (await answer.parse()).usage
    entry = await _entry(model_server, str(answer.headers["request-id"]))
    assert (entry["input_tokens"], entry["output_tokens"]) == (usage.input_tokens, 500)
    assert (entry["completed"], entry["stop_reason"]) == (True, "max_tokens")
    assert (entry["user_id"], entry["stream"]) == ("tester", False)


async def _entry(server: ModelServer, request_id: str) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {server.api_key}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as plain:
        report = (await plain.get("/_local/usage", params={"request_id": request_id})).json()
    assert report["requests"] == 1
    entry: dict[str, Any] = report["entries"][0]
    return entry


async def test_a_caller_who_hangs_up_stops_the_stream(
    start_model: Callable[..., ModelServer],
) -> None:
    server = start_model(tokens_per_second=200)
    async with client_of(server) as client:
        stream = await client.messages.create(
            model=MODEL, max_tokens=64_000, tools=EAGER, messages=ASK, stream=True
        )
        seen = 0
        async for event in stream:
            seen += event.type == "content_block_delta"
            if seen == 5:
                break
        await stream.close()
        request_id = str(stream.response.headers["request-id"])
    said = await _settled(server, request_id)
    assert 0 < said < 4_000


async def _settled(server: ModelServer, request_id: str) -> int:
    """The tokens that were said, once no more are."""
    last = -1
    async with asyncio.timeout(DEADLINE_SECONDS):
        while (now := (await _entry(server, request_id))["output_tokens"]) != last:
            last = now
            await asyncio.sleep(0.4)
    return last


async def test_a_slow_answer_arrives_little_by_little(
    start_model: Callable[..., ModelServer],
) -> None:
    server = start_model(tokens_per_second=400, first_token_delay_ms=50)
    loop = asyncio.get_running_loop()
    async with client_of(server) as client:
        stream = await client.messages.create(
            model=MODEL, max_tokens=200, tools=EAGER, messages=ASK, stream=True
        )
        times = [loop.time() async for event in stream if event.type == "content_block_delta"]
    # Two hundred tokens at four hundred a second can't be there before half a second has passed.
    assert times[-1] - times[0] > 0.3
    assert len(times) > 10


async def test_a_hundred_streams_at_once_all_end_well(model_server: ModelServer) -> None:
    async with client_of(model_server, max_retries=0) as client:

        async def one(number: int) -> tuple[str | None, int]:
            messages: list[Any] = [{"role": "user", "content": f"a blog about topic {number}"}]
            events = await events_of(client, messages=messages)
            end = events[-2]
            assert end.type == "message_delta"
            return end.delta.stop_reason, len(inputs(events))

        async with asyncio.timeout(DEADLINE_SECONDS):
            results = await asyncio.gather(*map(one, range(100)))
    assert set(results) == {("tool_use", results[0][1])}


async def test_sigterm_ends_open_streams_and_the_server(
    start_model: Callable[..., ModelServer],
) -> None:
    server = start_model(tokens_per_second=50, shutdown_grace_seconds=0)
    async with client_of(server, max_retries=0) as client:
        stream = await client.messages.create(
            model=MODEL, max_tokens=64_000, tools=EAGER, messages=ASK, stream=True
        )
        await anext(stream)
        assert await asyncio.to_thread(server.stop) == 0
        # The SDK lets its transport's own error through.
        with pytest.raises(httpx2.RemoteProtocolError):
            _ = [event async for event in stream]
