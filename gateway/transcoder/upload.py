"""Request bodies that are streams: bytes as HttpBody chunks, or JSON messages line by line."""

from __future__ import annotations

from typing import Any

from gateway.transcoder.endpoint import JSON, NDJSON, Endpoint, http_body, raw_content_type
from gateway.transcoder.errors import Disconnected, body_too_large, unsupported_media_type
from gateway.transcoder.exchange import Exchange
from gateway.transcoder.live import LiveCall


async def begin_streaming(endpoint: Endpoint, exchange: Exchange, values: list[str]) -> LiveCall:
    """Opens a call whose client streams and begins to feed it."""
    if endpoint.binder.raw_body is None:
        _check_lines(exchange)
        call = await endpoint.begin(exchange, None)
        return LiveCall(call, _feed_lines(endpoint, exchange, values, call))
    kind = raw_content_type(exchange)
    first = endpoint.binder.bind(values, exchange.query, b"", exchange.header)
    http_body(first, endpoint.binder.raw_body).content_type = kind
    call = await endpoint.begin(exchange, None)
    return LiveCall(call, _feed_bytes(endpoint, exchange, first, call))


async def _feed_bytes(endpoint: Endpoint, exchange: Exchange, first: Any, call: Any) -> None:
    """What the path says goes first and alone, so that the service can refuse before any byte.

    Each write waits until gRPC's flow control takes it, and until then nothing is read from the
    client: no more than a chunk is held here.
    """
    await call.write(first)
    size, path = endpoint.options.upload_chunk, endpoint.binder.raw_body
    assert path is not None
    pending = bytearray()
    async for part in exchange.chunks(endpoint.options.upload_limit):
        pending += part
        while len(pending) >= size:
            await call.write(_chunk(endpoint, path, bytes(pending[:size])))
            del pending[:size]
    if pending:
        await call.write(_chunk(endpoint, path, bytes(pending)))
    await call.done_writing()
    await _until_gone(exchange)


def _chunk(endpoint: Endpoint, path: tuple[str, ...], data: bytes) -> Any:
    message = endpoint.binder.message_class()
    http_body(message, path).data = data
    return message


async def _feed_lines(endpoint: Endpoint, exchange: Exchange, values: list[str], call: Any) -> None:
    limit = endpoint.options.json_limit
    pending = b""
    async for part in exchange.chunks(endpoint.options.upload_limit):
        *lines, pending = (pending + part).split(b"\n")
        if len(pending) > limit:
            raise body_too_large(limit)
        for line in lines:
            if line.strip():
                await call.write(_message(endpoint, exchange, values, line))
    if pending.strip():
        await call.write(_message(endpoint, exchange, values, pending))
    await call.done_writing()
    await _until_gone(exchange)


def _message(endpoint: Endpoint, exchange: Exchange, values: list[str], line: bytes) -> Any:
    return endpoint.binder.bind(values, exchange.query, line, exchange.header)


async def _until_gone(exchange: Exchange) -> None:
    await exchange.disconnected()
    raise Disconnected


async def watch_client(exchange: Exchange) -> None:
    """For a call whose request is complete: raises Disconnected when the client leaves."""
    await _until_gone(exchange)


def _check_lines(exchange: Exchange) -> None:
    kind = (exchange.header(b"content-type") or "").partition(";")[0].strip().lower()
    if kind not in (NDJSON, "application/jsonl", JSON):
        raise unsupported_media_type(kind, f"{NDJSON}: one JSON message a line")
