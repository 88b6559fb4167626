"""Heads of requests and responses on their way through: what is said again, and what is not.

What concerns one connection (RFC 9112, RFC 9110 section 7.6.1) is each side's own affair.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from local.sandboxes.asgi import Headers
from local.sandboxes.targets import PORT_HEADER, SANDBOX_HEADER, Target

TRAFFIC_HEADER = b"e2b-traffic-access-token"

_OF_ONE_CONNECTION = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection "
    b"te trailer transfer-encoding upgrade".split()
)
_NOT_FOR_SERVERS = _OF_ONE_CONNECTION | {SANDBOX_HEADER, PORT_HEADER, TRAFFIC_HEADER}
_FRAMING = frozenset((b"host", b"content-length"))
_ORDINARY = frozenset((b"keep-alive", b"Keep-Alive", b"close", b"Close", b"Upgrade", b"upgrade"))
_REASON = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")


class BrokenResponseError(Exception):
    """The server inside sent no HTTP, or HTTP that can be understood in two ways."""


@dataclass(slots=True)
class Request:
    """What a client asks of a port of a sandbox; header names are in lower case.

    ``chunked`` and ``length`` (bytes, or None for none said) are the body's framing.
    ``websocket``: the client wants to go on as a WebSocket.
    """

    target: Target
    method: bytes
    url: bytes
    headers: Headers
    old: bool  # HTTP/1.0
    token: str = ""
    chunked: bool = False
    length: int | None = None
    expects_continue: bool = False
    websocket: bool = False
    mask: bytes = b""  # the Host that the server is shown instead

    @property
    def has_body(self) -> bool:
        return self.chunked or bool(self.length)

    @property
    def repeatable(self) -> bool:
        """Whether it may be sent again when nothing is known of a first time."""
        return self.method in _IDEMPOTENT and not self.has_body and not self.websocket


_IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"TRACE"))


@dataclass(slots=True)
class ResponseHead:
    """What a server inside answers; header names are in lower case.

    ``length`` is None for a body that ends some other way.
    """

    status: int
    reason: bytes
    headers: Headers
    old: bool  # HTTP/1.0
    chunked: bool = False
    length: bytes | None = None


def request_head(request: Request) -> bytes:
    """Request line and headers for the server: as they came, without what is not for it."""
    dropped = _NOT_FOR_SERVERS | _named_by_connection(request.headers)
    lines = [b"%b %b HTTP/1.1\r\n" % (request.method, request.url)]
    if request.mask:
        dropped |= {b"host"}
        lines.append(b"host: %b\r\n" % request.mask)
    lines += [
        b"%b: %b\r\n" % (name, value) for name, value in request.headers if name not in dropped
    ]
    if request.old and not request.mask and not any(name == b"host" for name, _ in request.headers):
        lines.append(b"host: localhost:%d\r\n" % request.target.port)
    if request.chunked:
        lines.append(b"transfer-encoding: chunked\r\n")
    if request.websocket:
        lines.append(b"connection: Upgrade\r\nupgrade: websocket\r\n")
    lines.append(b"\r\n")
    return b"".join(lines)


def response_head(head: ResponseHead, *extra: bytes) -> bytes:
    """Status line and headers for the client, and lines of our own about its connection."""
    dropped = _OF_ONE_CONNECTION | _named_by_connection(head.headers)
    lines = [b"HTTP/1.1 %d %b\r\n" % (head.status, head.reason)]
    for name, value in head.headers:
        if name in dropped:
            continue
        if name == b"set-cookie":
            value = host_only(value)
        lines.append(b"%b: %b\r\n" % (name, value))
    return b"".join((*lines, *extra, b"\r\n"))


def checked(head: ResponseHead) -> ResponseHead:
    """The head with its framing read; raises BrokenResponseError where that is in doubt."""
    codings = [value for name, value in head.headers if name == b"transfer-encoding"]
    lengths = [value for name, value in head.headers if name == b"content-length"]
    if codings and (
        head.old or lengths or [one.strip().lower() for one in codings] != [b"chunked"]
    ):
        raise BrokenResponseError("a transfer coding that can't be passed on")
    if len(lengths) > 1:
        raise BrokenResponseError("more than one length")
    if not 100 <= head.status <= 599:
        raise BrokenResponseError(f"status {head.status}")
    if not _REASON.fullmatch(head.reason):
        head.reason = b""
    head.chunked = bool(codings)
    head.length = lengths[0] if lengths else None
    return head


def host_only(cookie: bytes) -> bytes:
    """A Set-Cookie value without its Domain: no sandbox sets cookies for its neighbours."""
    if b"domain" not in cookie.lower():
        return cookie
    pair, *attributes = cookie.split(b";")
    kept = [one for one in attributes if one.partition(b"=")[0].strip().lower() != b"domain"]
    return b";".join((pair, *kept))


def _named_by_connection(headers: Iterable[tuple[bytes, bytes]]) -> frozenset[bytes]:
    """Headers that the Connection header declares to be this connection's; never the framing."""
    values = [value for name, value in headers if name == b"connection" and value not in _ORDINARY]
    if not values:
        return frozenset()
    return frozenset(token.strip().lower() for token in b",".join(values).split(b",")) - _FRAMING
