"""The clouds' clients: the right one with the right parameters, and turns that arrive through their own protocols."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from anthropic import AsyncAnthropic, AsyncAnthropicBedrock, AsyncAnthropicVertex
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from services.generation import anthropic_clients
from services.generation.anthropic_clients import open_client
from services.generation.anthropic_vendor import AnthropicModel
from services.generation.language_model import ModelError, Said, TurnClosed, TurnRequest
from services.generation.settings import GenerationSettings, Vendor
from tests.fixtures.scripted_model import USAGE

REQUEST = TurnRequest("claude-sonnet-5-5", "Be brief.", (), [{"role": "user", "content": "Hi"}], 99)
EVENTS: list[dict[str, Any]] = [
    {
        "type": "message_start",
        "message": {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "m",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": USAGE,
        },
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 7},
    },
    {"type": "message_stop"},
]


def settings(**fields: Any) -> GenerationSettings:
    required = {
        "database_url": "postgresql+asyncpg://a:b@127.0.0.1:1/x",
        "service_key_file": Path("none.jwk"),
        "service_keys_file": Path("none.jwks"),
    }
    return GenerationSettings(**{**required, **fields})


Answers = Callable[[str, bytes], tuple[str, bytes]]
"""From a path and a body to a content type and a body."""


@asynccontextmanager
async def serving(answers: Answers, seen: list[tuple[str, str]]) -> AsyncIterator[str]:
    """An HTTP server; notes each request's path and credential."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split(" ", 2)[1]
        lines = (line.partition(": ") for line in head.split("\r\n")[1:])
        headers = {name.lower(): value for name, _, value in lines}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        seen.append((path, headers.get("authorization", "")))
        kind, data = answers(path, body)
        top = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(data)}\r\nconnection: close\r\n\r\n"
        writer.write(top.encode() + data)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()


async def said(model: AnthropicModel) -> tuple[str, TurnClosed]:
    """All text of a turn, and its end."""
    events = [event async for event in model.stream(REQUEST)]
    await model.close()
    last = events[-1]
    assert isinstance(last, TurnClosed)
    return "".join(event.text for event in events if isinstance(event, Said)), last


def frame(event: dict[str, Any]) -> bytes:
    """An event in the framing of Amazon's event streams."""
    given = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}
    headers = b"".join(
        bytes([len(name)])
        + name.encode()
        + b"\x07"
        + struct.pack(">H", len(value))
        + value.encode()
        for name, value in given.items()
    )
    data = base64.b64encode(json.dumps(event).encode()).decode()
    payload = json.dumps({"bytes": data}).encode()
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    whole = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return whole + struct.pack(">I", zlib.crc32(whole))


async def test_bedrock_answers_a_turn_and_is_asked_with_a_signature(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret")
    monkeypatch.delenv("AWS_BEARER_TOKEN_BEDROCK", raising=False)
    seen: list[tuple[str, str]] = []
    stream = b"".join(frame(event) for event in EVENTS)
    async with serving(lambda *_: ("application/vnd.amazon.eventstream", stream), seen) as url:
        chosen = settings(vendor="bedrock", region="eu-central-1", anthropic_base_url=url)
        client = open_client(chosen)
        assert isinstance(client, AsyncAnthropicBedrock)
        assert client.aws_region == "eu-central-1"
        model = AnthropicModel(client)
        assert await model.models() is None
        text, end = await said(model)
    assert (text, end.stop_reason, end.tokens.written) == ("Hello", "end_turn", 7)
    ((path, credential),) = seen
    assert path == "/model/claude-sonnet-5-5/invoke-with-response-stream"
    assert credential.startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    assert "/eu-central-1/bedrock/" in credential


async def test_vertex_answers_a_turn_and_is_asked_with_the_credentials_of_the_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def answers(path: str, _: bytes) -> tuple[str, bytes]:
        if path == "/token":
            return "application/json", b'{"access_token": "ya29.x", "expires_in": 3600}'
        lines = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in EVENTS]
        return "text/event-stream", "".join(lines).encode()

    seen: list[tuple[str, str]] = []
    async with serving(answers, seen) as url:
        monkeypatch.setenv(
            "GOOGLE_APPLICATION_CREDENTIALS", str(_service_account(tmp_path, f"{url}/token"))
        )
        chosen = settings(
            vendor="vertex", region="europe-west1", cloud_project="prj-1", anthropic_base_url=url
        )
        client = open_client(chosen)
        assert isinstance(client, AsyncAnthropicVertex)
        text, end = await said(AnthropicModel(client))
    assert (text, end.stop_reason) == ("Hello", "end_turn")
    path, credential = seen[-1]
    assert path.startswith("/projects/prj-1/locations/europe-west1/publishers/anthropic/")
    assert path.endswith("/models/claude-sonnet-5-5:streamRawPredict")
    assert credential == "Bearer ya29.x"


def _service_account(folder: Path, token_uri: str) -> Path:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    account = {
        "type": "service_account",
        "project_id": "prj-of-the-key",
        "private_key_id": "1",
        "private_key": pem.decode(),
        "client_email": "a@prj.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": token_uri,
    }
    path = folder / "account.json"
    path.write_text(json.dumps(account))
    return path


@pytest.mark.parametrize("vendor", [Vendor.BEDROCK, Vendor.VERTEX])
async def test_without_credentials_a_cloud_s_turn_fails_with_a_reason_of_our_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, vendor: Vendor
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_BEARER_TOKEN_BEDROCK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    # The SDK remembers a session with its credentials by its parameters: these are this test's own.
    client = open_client(
        settings(vendor=vendor, region="eu-north-1", anthropic_base_url="http://127.0.0.1:1")
    )
    with pytest.raises(ModelError) as caught:
        await said(AnthropicModel(client))
    assert caught.value.reason == "MODEL_CREDENTIALS"
    assert not caught.value.retryable


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no key": ({"anthropic_api_key": "", "anthropic_base_url": ""}, "ANTHROPIC_API_KEY"),
    "bedrock without a region": ({"vendor": "bedrock"}, "GENERATION_REGION"),
    "vertex without a region": ({"vendor": "vertex"}, "GENERATION_REGION"),
}


@pytest.mark.parametrize(("fields", "named"), BAD.values(), ids=BAD.keys())
def test_a_setting_that_is_missing_is_named(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=f"^{named}:"):
        open_client(settings(**fields))


@pytest.mark.parametrize("vendor", ["bedrock", "vertex"])
def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, vendor: str) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(anthropic_clients, "find_spec", missing)
    named = (
        rf"GENERATION_VENDOR: {vendor} .* uv pip install -r requirements/clouds\.lock, .*CLOUDS=1"
    )
    with pytest.raises(ValueError, match=named):
        open_client(settings(vendor=vendor, region="eu-north-1"))


async def test_the_vendor_s_own_client_goes_to_any_compatible_address() -> None:
    client = open_client(settings(anthropic_base_url="http://127.0.0.1:9/x", anthropic_api_key="k"))
    assert isinstance(client, AsyncAnthropic)
    assert str(client.base_url).startswith("http://127.0.0.1:9/x")
    assert client.max_retries == 0
    await client.close()


BEFORE: dict[str, list[dict[str, Any]]] = {
    "an end": EVENTS[-1:],
    "a block": EVENTS[1:],
    "its usage": EVENTS[4:],
    "nothing, but starts again": [EVENTS[0], *EVENTS],
}


@pytest.mark.parametrize("events", BEFORE.values(), ids=BEFORE.keys())
async def test_a_message_that_does_not_start_once_before_all_else_is_no_answer(
    events: list[dict[str, Any]],
) -> None:
    lines = "".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in events)

    def answers(path: str, body: bytes) -> tuple[str, bytes]:
        return "text/event-stream", lines.encode()

    async with serving(answers, []) as url:
        model = AnthropicModel(open_client(settings(anthropic_base_url=url)))
        with pytest.raises(ModelError) as caught:
            await said(model)
        await model.close()
    assert caught.value.reason == "MODEL_PROTOCOL"
    assert caught.value.begun == (events[0] is EVENTS[0])
