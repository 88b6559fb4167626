"""The preview proxy: HTTP requests to any port of a sandbox, streamed both ways."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import httptools

from local.sandboxes import errors, pages
from local.sandboxes.asgi import (
    ClientGoneError,
    Headers,
    Receive,
    Scope,
    Send,
    body_parts,
    header,
)
from local.sandboxes.dialling import TRAFFIC_HEADER, Dialler

_CHUNK = 256 * 1024
_HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection "
    b"te trailer transfer-encoding upgrade".split()
)
OURS = frozenset((b"e2b-sandbox-id", b"e2b-sandbox-port", TRAFFIC_HEADER))


class BrokenResponseError(Exception):
    """The server inside sent no HTTP, or stopped in the middle of it."""


class Proxy:
    """An ASGI application for requests with a target."""

    def __init__(self, dialler: Dialler) -> None:
        self._dialler = dialler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        target = scope["target"]
        token = header(scope, TRAFFIC_HEADER)
        try:
            sandbox = self._dialler.admit(target.sandbox_id, token)
            connection = await self._dialler.dial(sandbox, target.port)
        except errors.SandboxNotFoundError:
            await pages.not_found(scope, send)
        except errors.PermissionDeniedError:
            await pages.token_missing(scope, send, given=bool(token))
        except errors.EngineError:
            await pages.port_closed(scope, send)
        else:
            await _exchange(connection, scope, receive, send)


async def _exchange(connection: socket.socket, scope: Scope, receive: Receive, send: Send) -> None:
    reader, writer = await asyncio.open_connection(sock=connection, limit=_CHUNK)
    sending = asyncio.create_task(_send_request(scope, receive, writer))
    response = _Response(reader, head_only=scope["method"] == "HEAD")
    started = False
    try:
        status, headers = await response.head()
        started = True
        await send({"type": "http.response.start", "status": status, "headers": headers})
        async for part in response.body():
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    except (BrokenResponseError, OSError):
        # Once begun, a response can only be broken off: what is missing tells the client.
        if not started:
            await pages.port_closed(scope, send)
    finally:
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sending
        writer.transport.abort()


async def _send_request(scope: Scope, receive: Receive, writer: asyncio.StreamWriter) -> None:
    """The request, then watch for the client's end, which has to end the server's work too."""
    chunked = header(scope, b"transfer-encoding").lower() == "chunked"
    writer.write(request_head(scope, chunked))
    with contextlib.suppress(OSError):  # a server may answer before it has read everything
        try:
            async for part in body_parts(receive):
                writer.write(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
                await writer.drain()
            if chunked:
                writer.write(b"0\r\n\r\n")
            while (await receive())["type"] != "http.disconnect":
                pass
        except ClientGoneError:
            pass
        writer.transport.abort()


def request_head(scope: Scope, chunked: bool) -> bytes:
    """Request line and headers for the server inside: as they came, without what is ours."""
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query = scope["query_string"]
    lines = [
        b"%b %b HTTP/1.1" % (scope["method"].encode(), path + (b"?" + query if query else b""))
    ]
    lines += [
        b"%b: %b" % pair
        for pair in scope["headers"]
        if pair[0] not in _HOP_BY_HOP and pair[0] not in OURS
    ]
    if chunked:
        lines.append(b"transfer-encoding: chunked")
    return b"\r\n".join([*lines, b"connection: close", b"", b""])


class _Response:
    """A response read from a server that may do anything."""

    def __init__(self, reader: asyncio.StreamReader, head_only: bool) -> None:
        self._reader = reader
        self._head_only = head_only
        self._parser = httptools.HttpResponseParser(self)
        self._headers: Headers = []
        self._parts: list[bytes] = []
        self._has_head = self._complete = False

    async def head(self) -> tuple[int, Headers]:
        """Status and headers, without those of this one hop; informational answers are skipped."""
        while not self._has_head:
            if not await self._feed():
                raise BrokenResponseError("no response")
        return self._parser.get_status_code(), [
            pair for pair in self._headers if pair[0].lower() not in _HOP_BY_HOP
        ]

    async def body(self) -> AsyncIterator[bytes]:
        """The body as it arrives."""
        if self._head_only:
            return
        while True:
            parts, self._parts = self._parts, []
            for part in parts:
                yield part
            if self._complete:
                return
            if not await self._feed():
                if self._ends_with_the_connection():
                    return
                raise BrokenResponseError("the response ends too early")

    async def _feed(self) -> bool:
        data = await self._reader.read(_CHUNK)
        if data:
            try:
                self._parser.feed_data(data)
            except (httptools.HttpParserError, httptools.HttpParserUpgrade) as exc:
                raise BrokenResponseError("not HTTP") from exc
        return bool(data)

    def _ends_with_the_connection(self) -> bool:
        names = {name.lower() for name, _ in self._headers}
        return not names & {b"content-length", b"transfer-encoding"}

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self._parser.get_status_code() < 200:
            self._headers = []
        else:
            self._has_head = True

    def on_body(self, data: bytes) -> None:
        self._parts.append(data)

    def on_message_complete(self) -> None:
        self._complete = self._has_head
