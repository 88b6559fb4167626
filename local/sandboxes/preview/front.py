"""The HTTP server's half of a client's connection: what is for a preview goes its own way.

It is uvicorn's, made stricter: a request that could be understood in two ways is refused, and what
is neither head nor body of one is bounded. What is for the engine itself becomes ASGI.
"""

from __future__ import annotations

from typing import Any, cast

import httptools
import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from local.sandboxes.preview import reading
from local.sandboxes.preview.exchange import Exchange
from local.sandboxes.preview.proxy import Proxy
from local.sandboxes.preview.tunnel import Half
from local.sandboxes.preview.upstream import Upstream

log = structlog.get_logger(__name__)

# Bytes that make up neither a body nor the end of a head: headers, trailers, sizes of chunks.
_MAX_OVERHEAD = 128 * 1024

_REFUSAL = (
    b"HTTP/1.1 %b\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n"
    b"connection: close\r\n\r\n%b"
)


def _why(error: httptools.HttpParserError) -> reading.RefusedError:
    """What the client hears of a request that was not understood."""
    if isinstance(error.__context__, reading.RefusedError):
        return error.__context__
    if error.__context__ is not None and not isinstance(
        error.__context__, httptools.HttpParserError
    ):
        log.error("a request could not be read", exc_info=error)
    return reading.INVALID


class _NoEvent:
    def set(self) -> None:
        """Nobody waits."""


class _Preview(Exchange):
    """An exchange that stands in uvicorn's line of requests."""

    message_event = _NoEvent()
    disconnected = False

    @property
    def response_started(self) -> bool:
        return self.begun

    @property
    def response_complete(self) -> bool:
        return self.over


class Front(HttpToolsProtocol):
    """Made by uvicorn for each connection; ``previews`` come from the one who configures it."""

    def __init__(self, previews: Proxy, **of_uvicorn: Any) -> None:
        super().__init__(**of_uvicorn)
        self._previews = previews
        self._active: _Preview | None = None
        self._in_head = False
        self._overhead = 0
        self._instead: bytes | None = None
        self._held_back = False

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        self._overhead += len(data)
        left = memoryview(data)  # of which a client may fill every few bytes with another upgrade
        while left and not self.transport.is_closing():
            left = self._feed(left)

    def _feed(self, data: memoryview) -> memoryview:
        """Read on; what comes after an upgrade is left."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as exc:
            return self._upgrade(data[exc.args[0] :])
        except httptools.HttpParserError as exc:
            self._refuse(_why(exc))
        else:
            if self._overhead > _MAX_OVERHEAD:
                self._refuse(reading.TOO_LARGE)
        return data[:0]

    def _upgrade(self, rest: memoryview) -> memoryview:
        if self._instead is not None:
            head, self._instead = self._instead, None
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            self._feed(memoryview(head))
            return rest
        if self._newest is not None:
            # What follows a handshake waits in the socket until the other end has agreed.
            self._newest.early += rest
            self.flow.pause_reading()
        return rest[:0]

    def _refuse(self, why: reading.RefusedError) -> None:
        latest = self._latest
        begun = latest is not None and not latest.response_complete and latest.response_started
        if self._active is not None:
            begun = self._active.begun
            self._active.cancel()
        self._held_back = False
        if not begun:
            text = why.message.encode()
            self.transport.write(_REFUSAL % (why.status.encode(), len(text), text))
        self.transport.close()

    @property
    def _latest(self) -> RequestResponseCycle | None:
        """What uvicorn calls its cycle, which is none before the first request."""
        return self.cycle

    @property
    def _newest(self) -> _Preview | None:
        """The request that is being read, if it is for a preview."""
        newest: object = self.cycle
        return newest if isinstance(newest, _Preview) else None

    # What the parser calls.

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # trailers are dropped: no header may be said after the head was judged
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._overhead = 0
        parser = self.parser
        old = parser.get_http_version() == "1.0"
        head = reading.read(parser.get_method(), self.url, self.headers, old)
        if parser.should_upgrade() and not head.websocket:
            # Read once more as if nothing but HTTP/1.1 had been offered: the parser skips the body.
            self._instead = reading.without_upgrade(head)
            return
        self.url = head.url
        if head.target is None:
            super().on_headers_complete()
            return
        keep_alive = not old and parser.should_keep_alive()
        preview = _Preview(self, head.request(head.target), self._previews, keep_alive)
        before = self._latest
        self.cycle = cast("Any", preview)
        if before is None or before.response_complete:
            self._start(preview)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cast("Any", preview), self.app))

    def on_body(self, body: bytes) -> None:
        self._overhead = 0
        if self._instead is not None:
            return
        if self._newest is not None:
            self._newest.receive(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._overhead = 0
        if self._instead is not None:
            return
        if self._newest is not None:
            self._newest.receive_end()
        else:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.pipeline:  # who sends requests in a row waits with more until these are answered
            self.flow.pause_reading()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        """The next of the requests that were sent in a row."""
        if isinstance(cycle, _Preview):
            self._start(cycle)
        else:
            super()._start_asgi_task(cycle, app)

    def _start(self, preview: _Preview) -> None:
        self._active = preview
        # Who does not read its answers gets no further ones, of the engine's own either.
        self._held_back = self.full
        if not self._held_back:
            preview.start()

    # What the transport calls.

    def connection_lost(self, exc: Exception | None) -> None:
        active, self._active = self._active, None
        if active is not None:
            active.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._active is not None:
            self._active.pause_response()

    def resume_writing(self) -> None:
        super().resume_writing()
        held_back, self._held_back = self._held_back, False
        if self._active is None:
            return
        if held_back:
            self._active.start()
        else:
            self._active.resume_response()

    # What an exchange calls.

    @property
    def full(self) -> bool:
        return self.flow.write_paused

    def hold(self) -> None:
        self.flow.pause_reading()

    def go_on(self) -> None:
        if not self.pipeline:
            self.flow.resume_reading()

    def exchanged(self) -> None:
        self._active = None
        self.on_response_complete()

    def become_tunnel(self, upstream: Upstream, early: bytes) -> None:
        self._active = None
        if early:
            upstream.write(early)
        connections = cast("set[Any]", self.connections)
        client = Half(self.transport, lambda: connections.discard(client))
        server = Half(upstream.transport, lambda: upstream.line.forget(upstream))
        connections.discard(self)
        connections.add(client)
        client.join(upstream.transport)
        server.join(self.transport)
        # An end that is full already says so only once: it has said so to what was here before.
        if not upstream.full:
            self.flow.resume_reading()
        if self.full:
            upstream.hold()
        else:
            upstream.go_on()
