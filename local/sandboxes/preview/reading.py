"""A request's head, read with suspicion: two readers must not understand it differently."""

from __future__ import annotations

from dataclasses import dataclass

from local.sandboxes.asgi import Headers
from local.sandboxes.model import ENVD_PORT
from local.sandboxes.preview.heads import TRAFFIC_HEADER, Request
from local.sandboxes.targets import (
    PORT_HEADER,
    SANDBOX_HEADER,
    BadTargetError,
    Target,
    target_of,
)

_ONCE = frozenset((b"host", SANDBOX_HEADER, PORT_HEADER, TRAFFIC_HEADER, b"expect"))
_LOOKED_AT = _ONCE | {b"connection", b"upgrade", b"transfer-encoding", b"content-length"}
_OF_UPGRADES = frozenset((b"connection", b"upgrade", b"http2-settings"))


class RefusedError(Exception):
    """A request that is not answered, with a status line's end and a text for the client."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


INVALID = RefusedError("400 Bad Request", "Invalid HTTP request received.")
TOO_LARGE = RefusedError("431 Request Header Fields Too Large", "The headers are too large.")


def _bad(message: str) -> RefusedError:
    return RefusedError("400 Bad Request", message)


@dataclass(slots=True)
class Head:
    """A request as it came; ``url`` in origin form, header names in lower case.

    ``target`` is None where the engine itself, or a sandbox's files and processes, are meant.
    """

    method: bytes
    url: bytes
    headers: Headers
    old: bool
    target: Target | None
    said: dict[bytes, bytes]

    @property
    def websocket(self) -> bool:
        """Whether the client asks a preview to go on as a WebSocket."""
        return (
            self.target is not None
            and not self.old
            and self.method == b"GET"
            and self.said.get(b"upgrade", b"").strip().lower() == b"websocket"
            and b"upgrade" in _tokens(self.said)
            and b"transfer-encoding" not in self.said
            and self.said.get(b"content-length", b"0") == b"0"
        )

    def request(self, target: Target) -> Request:
        """The same for the proxy."""
        said = self.said
        length = said.get(b"content-length")
        return Request(
            target=target,
            method=self.method,
            url=self.url,
            headers=self.headers,
            old=self.old,
            token=said.get(TRAFFIC_HEADER, b"").decode("latin-1"),
            chunked=b"transfer-encoding" in said,
            length=None if length is None else int(length),
            expects_continue=not self.old and said.get(b"expect", b"").lower() == b"100-continue",
            websocket=b"upgrade" in said and self.websocket,
        )


def read(method: bytes, url: bytes, headers: Headers, old: bool) -> Head:
    """Raises RefusedError."""
    said: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _LOOKED_AT:
            if name not in said:
                said[name] = value
            elif name in _ONCE:
                raise _bad(f"More than one header {name.decode()}.")
            else:
                said[name] += b", " + value
    _check(method, said, old)
    host = said.get(b"host", b"")
    if not url.startswith(b"/") and url != b"*":
        url = _origin_form(url, host)
    return Head(method, url, headers, old, _target(said, host), said)


def _check(method: bytes, said: dict[bytes, bytes], old: bool) -> None:
    if method == b"CONNECT":
        raise RefusedError("405 Method Not Allowed", "This is no proxy to other hosts.")
    if b"host" not in said and not old:
        raise _bad("The header host is missing.")
    coding = said.get(b"transfer-encoding")
    if coding is not None:
        if old:
            raise _bad("HTTP/1.0 knows no transfer-encoding.")
        if coding.strip().lower() != b"chunked":
            raise RefusedError("501 Not Implemented", "The only transfer-encoding is chunked.")


def _origin_form(url: bytes, host: bytes) -> bytes:
    """A whole URL's path and query; its host has to be the one that the Host header names."""
    scheme, separator, rest = url.partition(b"://")
    ends = [at for at in (rest.find(b"/"), rest.find(b"?")) if at >= 0]
    end = min(ends, default=len(rest))
    if not separator or scheme.lower() not in (b"http", b"https"):
        raise _bad("The request's target is no URL.")
    if rest[:end].lower() != host.lower():
        raise _bad("The request's target and its header host name different hosts.")
    path = rest[end:]
    return path if path.startswith(b"/") else b"/" + path


def _target(said: dict[bytes, bytes], host: bytes) -> Target | None:
    try:
        target = target_of(
            host.decode("latin-1"),
            said.get(SANDBOX_HEADER, b"").decode("latin-1"),
            said.get(PORT_HEADER, b"").decode("latin-1"),
        )
    except BadTargetError as exc:
        raise _bad(str(exc)) from exc
    return None if target is None or target.port == ENVD_PORT else target


def without_upgrade(head: Head) -> bytes:
    """The head again, as of a client that offers nothing but HTTP/1.1."""
    tokens = _tokens(head.said)
    lines = [b"%b %b HTTP/%b" % (head.method, head.url, b"1.0" if head.old else b"1.1")]
    lines += [b"%b: %b" % (name, value) for name, value in head.headers if name not in _OF_UPGRADES]
    if b"close" in tokens:
        lines.append(b"connection: close")
    return b"\r\n".join((*lines, b"", b""))


def _tokens(said: dict[bytes, bytes]) -> frozenset[bytes]:
    listed = said.get(b"connection", b"").lower().split(b",")
    return frozenset(one.strip() for one in listed)
