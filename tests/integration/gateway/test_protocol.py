"""The edge of HTTP itself: heads that are too large, too slow, or no HTTP at all."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest

from tests.unit.gateway.sample.running import Running, serving


async def talk(port: int, data: bytes) -> bytes:
    """Everything that the server says until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        return await asyncio.wait_for(reader.read(), 20)
    finally:
        writer.close()


def body_of(answer: bytes) -> dict[str, object]:
    found = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    "data", [b"garbage\r\n\r\n", b"\x16\x03\x01\x02\x00", b"GET / HTTP/9.9\r\n\r\n"]
)
async def test_what_is_no_http_is_answered_in_json(sample: Running, data: bytes) -> None:
    answer = await talk(sample.port, data)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert body_of(answer)["code"] == 3


@pytest.mark.parametrize(
    "data",
    [
        b"GET /v1/items HTTP/1.1\r\nhost: x\r\nx-big: " + b"a" * 40_000 + b"\r\n\r\n",
        b"GET /v1/items HTTP/1.1\r\nhost: x\r\n" + b"x-a: b\r\n" * 6_000 + b"\r\n",
        b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /v1/items HTTP/1.1\r\nhost: x\r\nx-endless: " + b"a" * 70_000,
    ],
    ids=["one header", "many headers", "the path", "a header without an end"],
)
async def test_a_head_that_is_too_large_is_431(sample: Running, data: bytes) -> None:
    answer = await talk(sample.port, data)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert "32768" in str(body_of(answer)["message"])
    assert not sample.service.asked


@pytest.mark.parametrize("data", [b"", b"GET /v1/items HT", b"GET / HTTP/1.1\r\nhost: x\r\n"])
async def test_a_head_that_does_not_come_is_not_waited_for(sample: Running, data: bytes) -> None:
    async with serving(sample.transcoder, header_seconds=0.2) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(data)
        closed = (ConnectionResetError, asyncio.IncompleteReadError)
        with pytest.raises(closed):
            await asyncio.wait_for(reader.readexactly(1), 20)
        writer.close()


async def test_bodies_do_not_count_as_heads(sample: Running) -> None:
    body = b'{"reason": "' + b"x" * 60_000 + b'"}'
    head = b"POST /v1/items/a:cancel HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    request = head + b"content-length: %d\r\n\r\n" % len(body) + body
    last = b"GET /v1/items/b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    answer = await talk(sample.port, request * 3 + last)
    assert answer.count(b"HTTP/1.1 200 OK") == 4


CHUNKED = (
    b"POST /v1/items/a:cancel HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)


@pytest.mark.parametrize(
    "tail",
    [
        b"0\r\n" + (b"a: " + b"b" * 1_000 + b"\r\n") * 1_500 + b"\r\n",
        b"0\r\na: " + b"b" * 1_500_000 + b"\r\n\r\n",
        b"0;" + b"b" * 1_500_000 + b"\r\n\r\n",
    ],
    ids=["many trailers", "one trailer", "a chunk's extension"],
)
async def test_what_goes_on_after_the_body_is_cut_off(sample: Running, tail: bytes) -> None:
    answer = b""
    with contextlib.suppress(ConnectionError):
        answer = await talk(sample.port, CHUNKED + tail)
    assert answer == b""
    assert not sample.service.asked


async def test_trailers_are_no_headers(sample: Running) -> None:
    trailers = b"grpc-metadata-forged: 1\r\nidempotency-key: forged\r\n"
    head = CHUNKED.replace(b"POST /v1/items/a:cancel", b"GET /v1/inspect")
    last = b"GET /v1/inspect HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    answer = await talk(sample.port, head + b"0\r\n" + trailers + b"\r\n" + last)
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert b"forged" not in answer


async def test_a_body_of_many_chunks_is_taken(sample: Running) -> None:
    text = b'{"reason": "' + b"x" * 20_000 + b'"}'
    chunks = b"".join(b"1;e=f\r\n%c\r\n" % byte for byte in text) + b"0\r\nend: 1\r\n\r\n"
    last = b"GET /v1/items/b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    answer = await talk(sample.port, CHUNKED + chunks + last)
    assert answer.count(b"HTTP/1.1 200 OK") == 2


async def test_a_connection_is_kept_for_the_next_request(sample: Running) -> None:
    request = b"GET /v1/items/a HTTP/1.1\r\nhost: x\r\n\r\n"
    last = b"GET /v1/items/b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    answer = await talk(sample.port, request * 3 + last)
    assert answer.count(b"HTTP/1.1 200 OK") == 4
    assert answer.index(b"items/a") < answer.index(b"items/b")
