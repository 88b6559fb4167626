"""As much of HTTP/1.1 as a preview needs (RFC 9112): requests in, heads of answers out."""

from __future__ import annotations

import time
from _socket import timeout

from .text import unquoted

TYPE_CHECKING = False
if TYPE_CHECKING:  # at run time it would cost a megabyte
    from _socket import socket

MAX_HEAD_BYTES = 32 * 1024
READ_BYTES = 64 * 1024
IDLE_SECONDS = 60.0
HEAD_SECONDS = 10.0
REASONS = {
    200: "OK",
    206: "Partial Content",
    301: "Moved Permanently",
    304: "Not Modified",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    416: "Range Not Satisfiable",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
_PAGES = ("document", "iframe", "frame")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Refused(Exception):
    """The request can't be answered otherwise than with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Request:
    """One request's head. A body is never looked at: after one the connection is closed."""

    def __init__(self, head: bytes) -> None:
        """Raises ``Refused`` where it isn't HTTP."""
        lines = head.decode("latin-1").split("\r\n")
        parts = lines[0].split(" ")
        if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
            raise Refused(400)
        self.method, target, version = parts
        self.headers: dict[str, str] = {}
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon or not name or name != name.strip():
                raise Refused(400)
            self.headers[name.lower()] = value.strip()
        self.path = unquoted(_path(target).partition("?")[0])
        self.has_body = (
            self.header("content-length", "0") != "0" or "transfer-encoding" in self.headers
        )
        closes = "close" in self.header("connection").lower()
        self.keep = version == "HTTP/1.1" and not self.has_body and not closes

    def header(self, name: str, default: str = "") -> str:
        """A header's value by its lower-case name."""
        return self.headers.get(name, default)

    @property
    def wants_page(self) -> bool:
        """Whether a browser is about to show what it gets as a page, and not a script to put it into one."""
        destination = self.header("sec-fetch-dest")
        if destination:
            return destination in _PAGES
        return "text/html" in self.header("accept") and "x-requested-with" not in self.headers


class Reader:
    """Reads request after request from a client."""

    def __init__(self, client: socket) -> None:
        self._client = client
        self._left = b""

    @property
    def waiting(self) -> bool:
        """Whether nothing of the next request has come."""
        return not self._left

    def next(self) -> Request | None:
        """The next request; ``None`` where the client has left, or asks for nothing. Raises ``Refused``."""
        head = self._left.lstrip(b"\r\n")
        until = time.monotonic() + HEAD_SECONDS if head else None
        while b"\r\n\r\n" not in head[: MAX_HEAD_BYTES + 4]:
            if len(head) > MAX_HEAD_BYTES:
                raise Refused(431)
            more = self._received(until)
            if not more:
                return None
            until = until or time.monotonic() + HEAD_SECONDS
            head = (head + more).lstrip(b"\r\n")
        head, _, self._left = head.partition(b"\r\n\r\n")
        return Request(head)

    def _received(self, until: float | None) -> bytes:
        """``until``: when the head that has begun must be there, whatever trickles in."""
        left = IDLE_SECONDS if until is None else until - time.monotonic()
        try:
            self._client.settimeout(max(left, 0.001))
            return self._client.recv(READ_BYTES)
        except timeout:
            if until is None:
                return b""
            raise Refused(408) from None


def head(status: int, headers: dict[str, str], size: int | None, *, keep: bool) -> bytes:
    """An answer's status line and headers. ``size``: of the body, ``None`` where it is not told."""
    lines = [f"HTTP/1.1 {status} {REASONS[status]}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [
        f"Date: {date(time.time())}",
        "Cache-Control: no-cache",
        "X-Content-Type-Options: nosniff",
    ]
    if size is not None:
        lines.append(f"Content-Length: {size}")
    if not keep:
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def date(seconds: float) -> str:
    """A moment as HTTP writes it."""
    at = time.gmtime(seconds)
    day, month = _DAYS[at.tm_wday], _MONTHS[at.tm_mon - 1]
    return f"{day}, {at.tm_mday:02} {month} {at.tm_year} {at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02} GMT"


def _path(target: str) -> str:
    """The path of a request's target, which may be a whole address (RFC 9112, 3.2.2)."""
    scheme, colon, rest = target.partition("://")
    if colon and scheme.lower() in {"http", "https"}:
        return "/" + rest.partition("/")[2]
    # OPTIONS may ask for "*".
    if not target.startswith("/") and target != "*":
        raise Refused(400)
    return target
