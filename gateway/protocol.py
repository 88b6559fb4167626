"""uvicorn's HTTP protocol with what it lacks: bounds for the head of a request, and errors in JSON."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from google.rpc import code_pb2
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.transcoder.errors import refusal
from gateway.transcoder.exchange import ABORT_EXTENSION
from gateway.transcoder.status import status_bytes


class _HeadTooLarge(Exception):
    pass


class BoundedProtocol(HttpToolsProtocol):
    """A head that is too large is answered 431; one that does not arrive in time is dropped."""

    max_header_bytes = 32 * 1024
    header_seconds = 15.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Starts the clock for the first request."""
        super().connection_made(transport)
        self._in_head = True
        self._parts = 0  # heads and bodies that have ended
        self._head_bytes = 0  # since a head or a body last came forward
        self._progress = False  # whether the data at hand holds something of a body
        self._too_large = False
        self._clock: asyncio.TimerHandle | None = None
        self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the clock."""
        self._stop_clock()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Counts what ends no head or body and is none: a head without an end, or trailers."""
        parts, self._progress = self._parts, False
        super().data_received(data)
        if self._parts != parts or self.transport.is_closing():
            return
        self._head_bytes = 0 if self._progress else self._head_bytes + len(data)
        if self._head_bytes <= self.max_header_bytes:
            return
        if self._in_head:
            self._too_large = True
            self.send_400_response("")
        else:
            self.transport.abort()  # the request is being answered: a second answer has no place

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self.scope["extensions"] = {ABORT_EXTENSION: {"call": self.transport.abort}}
        if self._clock is None:
            self._start_clock()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Trailers are dropped: uvicorn would add them to the headers, without an end."""
        if self._in_head:
            super().on_header(name, value)

    def on_chunk_header(self) -> None:
        """A chunk begins."""
        self._progress = True

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._progress = True
        super().on_body(body)

    def on_headers_complete(self) -> None:
        """The head is there: is it small enough?"""
        self._in_head = False
        self._parts += 1
        self._head_bytes = 0
        self._stop_clock()
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self.max_header_bytes:
            self._too_large = True
            raise _HeadTooLarge
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """What comes next is another head."""
        super().on_message_complete()
        self._in_head = True
        self._parts += 1
        self._head_bytes = 0

    def send_400_response(self, msg: str) -> None:
        """For what never becomes a request; called by uvicorn on a parser's error."""
        if self.transport.is_closing():
            return
        http, reason, message = 400, "MALFORMED_REQUEST", msg
        if self._too_large:
            limit = self.max_header_bytes
            http, reason = 431, "HEADERS_TOO_LARGE"
            message = f"the request line and the headers are larger than {limit} bytes"
        error = refusal(http, code_pb2.INVALID_ARGUMENT, reason, message)
        request_id = uuid4().hex
        body = status_bytes(error.status, "sandwright", request_id)
        head = (
            f"HTTP/1.1 {http} {HTTPStatus(http).phrase}\r\nx-request-id: {request_id}\r\n"
            "content-type: application/json\r\nx-content-type-options: nosniff\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    def _start_clock(self) -> None:
        self._clock = self.loop.call_later(self.header_seconds, self._late)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _late(self) -> None:
        self._clock = None
        self.transport.abort()


def bounded_protocol(max_header_bytes: int, header_seconds: float) -> type[BoundedProtocol]:
    """The protocol with these bounds: uvicorn makes the instances itself."""
    bounds: dict[str, Any] = {
        "max_header_bytes": max_header_bytes,
        "header_seconds": header_seconds,
    }
    return type("GatewayProtocol", (BoundedProtocol,), bounds)
