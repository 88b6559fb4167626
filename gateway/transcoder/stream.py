"""Answers that are streams: events in the form the client accepts, or the bytes of a file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import structlog
from google.rpc import code_pb2

from gateway.transcoder.answer import file_headers, file_name
from gateway.transcoder.codec import JsonError
from gateway.transcoder.endpoint import Endpoint, http_body
from gateway.transcoder.errors import HttpError, refusal
from gateway.transcoder.events import EVENT_STREAM, EventShape, Writer, choose_writer
from gateway.transcoder.exchange import Exchange, SlowClient
from gateway.transcoder.live import END, Draining, LiveCall
from gateway.transcoder.status import from_rpc, status_bytes

log = structlog.get_logger(__name__)

_OPEN_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would hold events back
    (b"x-content-type-options", b"nosniff"),
)


async def serve_events(
    endpoint: Endpoint, exchange: Exchange, live: LiveCall, shape: EventShape
) -> None:
    """Messages as they come. An error after the first byte is told in the stream itself."""
    writer = choose_writer(exchange.header(b"accept"))(endpoint.codec, shape)
    kind = (b"content-type", writer.content_type.encode())
    try:
        await live.open()
    except Draining as exc:
        if not writer.goodbye(endpoint.options.reconnect):
            raise _restarting() from exc
        # Not a 503: to that an EventSource would never come back.
        await exchange.start(200, [kind, *_OPEN_HEADERS])
        await _end_early(endpoint, exchange, writer)
        return
    resumed = b"last-event-id" in exchange.headers and writer.content_type == EVENT_STREAM
    if resumed and live.over_already():
        # The one answer upon which an EventSource does not come back.
        await exchange.answer(204, _OPEN_HEADERS)
        return
    await exchange.start(200, [kind, *_OPEN_HEADERS])
    if exchange.head:
        await exchange.finish()
        return
    try:
        await _write_all(endpoint, exchange, live, writer)
    except Draining:
        await _end_early(endpoint, exchange, writer)
    except (HttpError, grpc.aio.AioRpcError, JsonError) as exc:
        await _end_with_error(endpoint, exchange, writer, exc)


async def _write_all(
    endpoint: Endpoint, exchange: Exchange, live: LiveCall, writer: Writer
) -> None:
    await _write(exchange, writer.head(endpoint.options.reconnect))
    async with _heartbeats(endpoint, exchange, live, writer):
        while (message := await live.next()) is not END:
            await exchange.write(writer.item(message))
    await exchange.finish(writer.tail())


async def _write(exchange: Exchange, data: bytes) -> None:
    if data:
        await exchange.write(data)


@asynccontextmanager
async def _heartbeats(
    endpoint: Endpoint, exchange: Exchange, live: LiveCall, writer: Writer
) -> AsyncIterator[None]:
    if not writer.heartbeat:
        yield
        return
    interval = endpoint.options.heartbeat
    task = asyncio.create_task(_beat(exchange, live, writer.heartbeat, interval))
    try:
        yield
    finally:
        task.cancel()


async def _beat(exchange: Exchange, live: LiveCall, heartbeat: bytes, interval: float) -> None:
    while True:
        await asyncio.sleep(interval)
        try:
            await exchange.write(heartbeat)
        except SlowClient as exc:
            live.stop(exc)
            return


async def _end_early(endpoint: Endpoint, exchange: Exchange, writer: Writer) -> None:
    """Before a restart: a hint to come back, or an error where the format has no hints."""
    goodbye = writer.goodbye(endpoint.options.reconnect)
    if goodbye:
        await exchange.finish(goodbye + writer.tail())
        return
    await _end_with_error(endpoint, exchange, writer, _restarting())


def _restarting() -> HttpError:
    return refusal(503, code_pb2.UNAVAILABLE, "SERVER_RESTARTING", "the server restarts, come back")


async def _end_with_error(
    endpoint: Endpoint, exchange: Exchange, writer: Writer, error: Exception
) -> None:
    if isinstance(error, grpc.aio.AioRpcError):
        log.info("stream_failed", rpc=str(endpoint), code=error.code().name)
        error = from_rpc(error, endpoint.method.request)
    elif isinstance(error, JsonError):
        log.error("message_not_printable", rpc=str(endpoint), reason=str(error))
        error = refusal(500, code_pb2.INTERNAL, "INTERNAL", "internal error")
    assert isinstance(error, HttpError)
    domain = endpoint.options.error_domain
    status = status_bytes(error.status, domain, exchange.request_id.decode())
    await exchange.finish(writer.error(status) + writer.tail())


async def serve_bytes(endpoint: Endpoint, exchange: Exchange, live: LiveCall, request: Any) -> None:
    """A file's bytes as they come.

    A failure in the middle breaks the connection: a short file must not look like a whole one.
    """
    path = endpoint.raw_response
    assert path is not None
    await live.open()
    message = await live.next()
    kind = "" if message is END else http_body(message, path).content_type
    name = file_name(endpoint, request) if request is not None else ""
    await exchange.start(200, file_headers(kind, name))
    try:
        while message is not END and not exchange.head:
            data = http_body(message, path).data
            if data:
                await exchange.write(data)
            message = await live.next()
        await exchange.finish()
    except (grpc.aio.AioRpcError, Draining) as exc:
        log.warning("download_broken_off", rpc=str(endpoint), reason=type(exc).__name__)
        exchange.abort()
