"""A connection to a server inside a sandbox, which may do anything: one exchange at a time."""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

import httptools
import structlog

from local.sandboxes.asgi import Headers
from local.sandboxes.preview.heads import BrokenResponseError, ResponseHead, checked

log = structlog.get_logger(__name__)

# Bytes that make up neither a body nor the end of a head: headers, trailers, sizes of chunks.
_MAX_OVERHEAD = 256 * 1024


class Asker(Protocol):
    """Who waits for a response. Pieces between ``begin`` and ``finish`` are told by ``flush``."""

    def inform(self, head: ResponseHead) -> None:
        """An informational (1xx) response."""

    def begin(self, head: ResponseHead) -> None:
        """Status and headers."""

    def body(self, data: bytes) -> None:
        """A piece of the body."""

    def flush(self) -> None:
        """Nothing more has arrived for now."""

    def finish(self) -> None:
        """The response is whole."""

    def switch(self, head: ResponseHead, rest: bytes) -> None:
        """The server goes on as a WebSocket, and ``rest`` came first."""

    def lose(self) -> None:
        """The connection ended before the response did, or what came is no HTTP."""

    def pause_sending(self) -> None:
        """The server does not read as fast as it is written to."""

    def resume_sending(self) -> None:
        """It does again."""


class Line(Protocol):
    """What a connection belongs to: a port of a sandbox."""

    @property
    def stands(self) -> bool:
        """Whether the sandbox runs: when it is killed, its connections end as if all was said."""

    def release(self, upstream: Upstream) -> None:
        """It is free for another exchange."""

    def forget(self, upstream: Upstream) -> None:
        """It is gone."""


class Upstream(asyncio.Protocol):
    """Sends requests and reads responses.

    ``used``: it has carried an exchange before this one. ``heard``: something came of this one.
    ``full``: more is on its way to the server than it reads.
    """

    transport: asyncio.Transport

    def __init__(self, line: Line) -> None:
        self.line = line
        self._asker: Asker | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self.used = self.lost = self.heard = self.full = self._held = False
        self._forget_response(head_only=False)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name

    def ask(self, asker: Asker, request: bytes, head_only: bool) -> None:
        """Begin an exchange with the request's head, and as much of its body as there is."""
        self._asker = asker
        self._forget_response(head_only)
        self.heard = False
        if self._parser is None:
            self._parser = httptools.HttpResponseParser(self)
        self.write(request)

    def write(self, data: bytes) -> None:
        """More of the request."""
        if not self.lost:
            self.transport.write(data)

    def hold(self) -> None:
        """Read no more for now."""
        if not self._held and not self.transport.is_closing():
            self._held = True
            self.transport.pause_reading()

    def go_on(self) -> None:
        """Read on."""
        if self._held and not self.transport.is_closing():
            self._held = False
            self.transport.resume_reading()

    def abort(self) -> None:
        """Let go at once; nobody is told."""
        self._asker = None
        self._reusable = False
        if not self.lost:
            self.transport.abort()

    def cut(self) -> None:
        """Let go at once, and tell who waits for a response."""
        asker = self._asker
        self.abort()
        if asker is not None:
            asker.lose()

    def data_received(self, data: bytes) -> None:
        if self._asker is None or self._parser is None:
            # Nobody asked: it could pass for the response to the next request.
            self.abort()
            return
        self.heard = True
        self._overhead += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as exc:
            self._switch(data[exc.args[0] :])
            return
        except httptools.HttpParserError as exc:
            if not isinstance(exc.__context__, BrokenResponseError | None):
                log.error("a response could not be passed on", exc_info=exc)
            self._reusable = False
            if not self._complete:
                self.cut()
                return
        if self._complete:
            self._finish()
        elif self._overhead > _MAX_OVERHEAD:
            self.cut()
        else:
            self._asker.flush()

    def _switch(self, rest: bytes) -> None:
        asker, head = self._asker, self._switching
        self._asker = None
        if asker is not None and head is not None:
            asker.switch(head, rest)
        elif asker is not None:
            asker.lose()

    def _finish(self) -> None:
        asker, self._asker = self._asker, None
        if asker is not None:
            asker.finish()
        if self._reusable:
            self.used = True
            self.go_on()
            self.line.release(self)
        else:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        asker, self._asker = self._asker, None
        if asker is not None:
            if self._until_eof and exc is None and self.line.stands:
                asker.finish()
            else:
                asker.lose()
        self.line.forget(self)

    def pause_writing(self) -> None:
        self.full = True
        if self._asker is not None:
            self._asker.pause_sending()

    def resume_writing(self) -> None:
        self.full = False
        if self._asker is not None:
            self._asker.resume_sending()

    # What the parser calls.

    def _forget_response(self, head_only: bool) -> None:
        self._headers: Headers = []
        self._reason = b""
        self._overhead = 0
        self._head_only = head_only
        self._begun = self._complete = self._until_eof = False
        self._reusable = True
        self._switching: ResponseHead | None = None

    def on_message_begin(self) -> None:
        if self._complete:
            self._reusable = False

    def on_status(self, status: bytes) -> None:
        self._reason += status

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._begun:  # what follows a body is dropped
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        parser, asker = self._parser, self._asker
        if self._complete or parser is None or asker is None:
            self._reusable = False
            return
        head = checked(
            ResponseHead(
                parser.get_status_code(),
                self._reason,
                self._headers,
                old=parser.get_http_version() == "1.0",
            )
        )
        self._headers, self._reason = [], b""
        if head.status == 101:
            if not parser.should_upgrade():
                raise BrokenResponseError("a switch to nothing")
            self._switching = head
        elif head.status < 200:
            asker.inform(head)
        else:
            self._begin(parser, asker, head)

    def _begin(
        self, parser: httptools.HttpResponseParser, asker: Asker, head: ResponseHead
    ) -> None:
        self._begun = True
        self._reusable = self._reusable and parser.should_keep_alive()
        bodiless = self._head_only or head.status in (204, 304)
        self._until_eof = not bodiless and not head.chunked and head.length is None
        asker.begin(head)
        if self._head_only:
            # The parser can't be told that no body follows.
            self._complete = True
            self._parser = None

    def on_body(self, data: bytes) -> None:
        self._overhead = 0
        if self._complete or self._asker is None:
            self._reusable = False
        else:
            self._asker.body(data)

    def on_message_complete(self) -> None:
        if self._begun:
            self._complete = True
