"""One request for a port of a sandbox, and its response, streamed both ways."""

from __future__ import annotations

import asyncio
import http
from typing import Protocol

import structlog

from local.sandboxes.preview import pages
from local.sandboxes.preview.heads import Request, ResponseHead, request_head, response_head
from local.sandboxes.preview.pages import Page
from local.sandboxes.preview.proxy import Proxy
from local.sandboxes.preview.upstream import Upstream

log = structlog.get_logger(__name__)

_MAX_EARLY = 64 * 1024
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_CONTINUE_SECONDS = 1.0
_CLOSE, _CHUNKED = b"connection: close\r\n", b"transfer-encoding: chunked\r\n"
_LAST_CHUNK = b"0\r\n\r\n"


class Client(Protocol):
    """The connection that the request came by."""

    @property
    def transport(self) -> asyncio.Transport: ...

    @property
    def full(self) -> bool:
        """Whether more is on its way to the client than it reads."""

    def hold(self) -> None:
        """Read no more for now."""

    def go_on(self) -> None:
        """Read on."""

    def exchanged(self) -> None:
        """The response is whole: the next request may come."""

    def become_tunnel(self, upstream: Upstream, early: bytes) -> None:
        """HTTP is over: pass on bytes, beginning with those that the client sent too early."""


class Exchange:
    """From the request's head on. The HTTP server tells what else arrives."""

    def __init__(self, client: Client, request: Request, proxy: Proxy, keep_alive: bool) -> None:
        self._client = client
        self._request = request
        self._proxy = proxy
        self.keep_alive = keep_alive
        self.over = False
        self.early = bytearray()
        self._request_complete = False
        self._upstream: Upstream | None = None
        self._opening: asyncio.Task[None] | None = None
        self._continuing: asyncio.TimerHandle | None = None
        self._out: list[bytes] = []
        self.begun = self._chunking = self._bare = False

    def start(self) -> None:
        """Send the request on its way."""
        upstream = self._proxy.at_hand(self._request)
        if upstream is not None:
            self._ask(upstream)
        else:
            self._opening = asyncio.get_running_loop().create_task(self._open(fresh=False))

    async def _open(self, *, fresh: bool) -> None:
        try:
            found = await self._proxy.connect(self._request, fresh=fresh)
        except Exception as exc:  # whatever it is, the client has to hear of it
            log.error("preview failed", sandbox=self._request.target.sandbox_id, exc_info=exc)
            found = pages.failed(self._request)
        if isinstance(found, Page):
            self._say(found)
        else:
            self._ask(found)

    def _ask(self, upstream: Upstream) -> None:
        self._upstream = upstream
        if self._client.full:  # which it says once, and said it before there was a connection
            upstream.hold()
        body, self.early = bytes(self.early), bytearray()
        if self._request.websocket:
            body, self.early = b"", bytearray(body)
        upstream.ask(self, request_head(self._request) + body, self._request.method == b"HEAD")
        if self._request.expects_continue and not body:
            loop = asyncio.get_running_loop()
            self._continuing = loop.call_later(_CONTINUE_SECONDS, self._invite)
        if not self._request.websocket and not upstream.full:
            self._client.go_on()

    # What the client sends.

    def receive(self, data: bytes) -> None:
        """A piece of the request's body; what nobody waits for any more is dropped."""
        if self.over:
            return
        if self._request.chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        self._forward(data)

    def receive_end(self) -> None:
        """The request is whole."""
        self._request_complete = True
        if self._request.chunked and not self.over:
            self._forward(_LAST_CHUNK)

    def _forward(self, data: bytes) -> None:
        if self._upstream is not None:
            self._upstream.write(data)
            return
        self.early += data
        if len(self.early) > _MAX_EARLY:
            self._client.hold()

    def cancel(self) -> None:
        """The client is gone: so is its request."""
        self._end()
        if self._opening is not None:
            self._opening.cancel()
        if self._upstream is not None:
            self._upstream.abort()

    def pause_response(self) -> None:
        """The client does not read as fast as it is written to."""
        if self._upstream is not None:
            self._upstream.hold()

    def resume_response(self) -> None:
        """It does again."""
        if self._upstream is not None:
            self._upstream.go_on()

    # What the server answers.

    def inform(self, head: ResponseHead) -> None:
        if head.status == 100:
            self._invite()
        elif not self._request.old:
            self._out.append(response_head(head))

    def begin(self, head: ResponseHead) -> None:
        self._stop_inviting()
        self.begun = True
        extra = []
        if (
            self._request.method != b"HEAD"
            and head.status not in (204, 304)
            and head.length is None
        ):
            self._chunking = not self._request.old
            self._bare = self._request.old
            if self._chunking:
                extra.append(_CHUNKED)
        # A client that waits to be invited may keep its body: it must not be read as a request.
        if self._request.websocket or (
            self._request.expects_continue and not self._request_complete
        ):
            self.keep_alive = False
        if not self.keep_alive:
            extra.append(_CLOSE)
        self._out.append(response_head(head, *extra))

    def body(self, data: bytes) -> None:
        if self._chunking:
            self._out += (b"%x\r\n" % len(data), data, b"\r\n")
        else:
            self._out.append(data)

    def flush(self) -> None:
        if self._out:
            out, self._out = self._out, []
            self._client.transport.write(b"".join(out))

    def finish(self) -> None:
        if self._chunking:
            self._out.append(_LAST_CHUNK)
        if not self._request_complete and self._upstream is not None:
            self._upstream.abort()
        self._complete()

    def switch(self, head: ResponseHead, rest: bytes) -> None:
        upstream = self._upstream
        if upstream is None or not self._request.websocket:
            self.lose()
            return
        self._stop_inviting()
        upgrade = b"connection: Upgrade\r\nupgrade: websocket\r\n"
        self._out += (response_head(head, upgrade), rest)
        self.flush()
        self._end()
        self._client.become_tunnel(upstream, bytes(self.early))

    def lose(self) -> None:
        """The connection ended too early. Nothing was heard of a request that may be sent again
        on a connection that was used before: the server had closed that one meanwhile."""
        upstream, self._upstream = self._upstream, None
        if self.begun:
            # What is missing tells the client; without framing, only a reset can.
            self.flush()
            self._end()
            if self._bare:
                self._client.transport.abort()
            else:
                self._client.transport.close()
        elif upstream is not None and upstream.used and not upstream.heard:
            self._opening = asyncio.get_running_loop().create_task(self._open(fresh=True))
        else:
            self._say(self._proxy.unanswered(self._request))

    def pause_sending(self) -> None:
        self._client.hold()

    def resume_sending(self) -> None:
        self._client.go_on()

    # Both.

    def _invite(self) -> None:
        """Let a client that expects it send its body; a server that knows no 100 reads on."""
        if self._request.expects_continue and self._continuing is not None and not self.over:
            self._stop_inviting()
            self._out.append(_CONTINUE)
            self.flush()

    def _stop_inviting(self) -> None:
        if self._continuing is not None:
            self._continuing.cancel()
            self._continuing = None

    def _say(self, page: Page) -> None:
        """A response of our own."""
        if self.over:
            return
        length = b"%d" % len(page.body)
        headers = [*page.headers, (b"content-length", length)] if page.body else page.headers
        reason = http.HTTPStatus(page.status).phrase.encode()
        self.begin(ResponseHead(page.status, reason, headers, old=False, length=length))
        if self._request.method != b"HEAD":
            self._out.append(page.body)
        self._complete()

    def _complete(self) -> None:
        self.flush()
        self._end()
        if not self.keep_alive:
            self._client.transport.close()
        self._client.exchanged()

    def _end(self) -> None:
        self.over = True
        self._stop_inviting()
