"""One HTTP request and its answer, over ASGI's three callables."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from typing import Any
from uuid import uuid4

from gateway.transcoder.errors import (
    Disconnected,
    body_too_large,
    invalid,
    request_timeout,
)

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:\-]{1,128}")
_LINGER_SECONDS = 2.0

# The extension by which the server lets us drop a connection whose client no longer reads.
ABORT_EXTENSION = "gateway.abort"


class SlowClient(Exception):
    """The client does not take what is sent to it."""


class Exchange:
    """A request being answered. Nothing here knows of gRPC."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, *, send_timeout: float, idle: float
    ) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.head = self.method == "HEAD"
        self.started = False
        self._receive = receive
        self._send = send
        self._send_timeout = send_timeout
        self._idle = idle
        self._body_done = False
        self.headers: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            given = self.headers.get(name)
            self.headers[name] = value if given is None else given + b", " + value
        wanted = self.headers.get(b"x-request-id", b"")
        self.request_id = wanted if _REQUEST_ID.fullmatch(wanted) else uuid4().hex.encode()

    @property
    def raw_path(self) -> str:
        """The path as it was sent, still percent-encoded."""
        raw: bytes | None = self.scope.get("raw_path")
        return (raw if raw is not None else self.scope["path"].encode()).decode("latin-1")

    @property
    def query(self) -> bytes:
        """The query string as it was sent."""
        found: bytes = self.scope["query_string"]
        return found

    def header(self, name: bytes) -> str | None:
        """A header's value; ``name`` in lower case."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    def content_length(self) -> int | None:
        """The declared length of the body in bytes."""
        text = self.header(b"content-length")
        if text is None:
            return None
        if not text.isdecimal():
            raise invalid("the Content-Length header is not a number")
        return int(text)

    async def body(self, limit: int) -> bytes:
        """The whole body, at most ``limit`` bytes; HttpError 413 beyond."""
        parts = [part async for part in self.chunks(limit)]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def chunks(self, limit: int) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises HttpError 413 and 408, and Disconnected."""
        if not self._expects_body():
            self._body_done = True
        if (self.content_length() or 0) > limit:
            raise body_too_large(limit)
        received = 0
        while not self._body_done:
            event = await self._next_event()
            if event["type"] == "http.disconnect":
                raise Disconnected
            part: bytes = event.get("body", b"")
            self._body_done = not event.get("more_body", False)
            received += len(part)
            if received > limit:
                raise body_too_large(limit)
            if part:
                yield part

    async def _next_event(self) -> Event:
        try:
            async with asyncio.timeout(self._idle):
                return await self._receive()
        except TimeoutError as exc:
            raise request_timeout() from exc

    async def disconnected(self) -> None:
        """Returns when the client has gone; the rest of the body is dropped."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def answer(
        self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes = b""
    ) -> None:
        """The whole answer at once."""
        length = [] if status in (204, 304) else [(b"content-length", b"%d" % len(body))]
        early = not self._body_done and self._expects_body()
        if early:
            length.append((b"connection", b"close"))
        await self.start(status, [*headers, *length])
        if early and not self.head:
            await self.write(body)
            await self._linger()
            body = b""
        await self._put({"type": "http.response.body", "body": body})

    def _expects_body(self) -> bool:
        length = self.headers.get(b"content-length", b"0")
        return length != b"0" or b"transfer-encoding" in self.headers

    async def _linger(self) -> None:
        """Reads on for a moment: closing on unread bytes resets the connection, answer and all."""
        try:
            async with asyncio.timeout(_LINGER_SECONDS):
                while not self._body_done:
                    event = await self._receive()
                    gone = event["type"] == "http.disconnect"
                    self._body_done = gone or not event.get("more_body", False)
        except TimeoutError:
            self._body_done = True

    async def start(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """The status line and the headers."""
        self.started = True
        own = (b"x-request-id", self.request_id)
        await self._put(
            {"type": "http.response.start", "status": status, "headers": [own, *headers]}
        )

    async def write(self, data: bytes) -> None:
        """A part of the body. Raises SlowClient where the client does not take it in time."""
        await self._put({"type": "http.response.body", "body": data, "more_body": True})

    async def finish(self, data: bytes = b"") -> None:
        """The last part of the body."""
        await self._put({"type": "http.response.body", "body": data})

    async def _put(self, event: Event) -> None:
        try:
            async with asyncio.timeout(self._send_timeout):
                await self._send(event)
        except TimeoutError as exc:
            self.abort()
            raise SlowClient from exc

    def abort(self) -> None:
        """Drops the connection without flushing, where the server lets us."""
        abort = self.scope.get("extensions", {}).get(ABORT_EXTENSION)
        if abort is not None:
            abort["call"]()
