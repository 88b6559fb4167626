"""As much of HTTP/1.1 as a preview needs (RFC 9110, RFC 9112)."""

from __future__ import annotations

import socket
import time

from .text import unquoted

MAX_HEAD_BYTES = 32 * 1024
READ_BYTES = 64 * 1024
REASONS = {
    200: "OK",
    206: "Partial Content",
    301: "Moved Permanently",
    304: "Not Modified",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    416: "Range Not Satisfiable",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Refused(Exception):
    """The request can't be answered otherwise than with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Request:
    """One request's head. A body is never read: after one the connection is closed."""

    def __init__(self, head: bytes) -> None:
        """Raises ``Refused`` where it isn't HTTP."""
        lines = head.decode("latin-1").split("\r\n")
        parts = lines[0].split(" ")
        if len(parts) != 3 or not parts[2].startswith("HTTP/1.") or not parts[1].startswith("/"):
            raise Refused(400)
        self.method, target, version = parts
        self.headers: dict[str, str] = {}
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon:
                raise Refused(400)
            self.headers[name.strip().lower()] = value.strip()
        self.path = unquoted(target.partition("?")[0])
        self.keep = version == "HTTP/1.1" and not self._closes()

    def _closes(self) -> bool:
        has_body = self.header("content-length", "0") != "0" or "transfer-encoding" in self.headers
        return has_body or self.header("connection").lower() == "close"

    def header(self, name: str, default: str = "") -> str:
        """A header's value by its lower-case name."""
        return self.headers.get(name, default)

    @property
    def wants_page(self) -> bool:
        """Whether a browser is about to show what it gets."""
        return "text/html" in self.header("accept")


class Reader:
    """Reads request after request from a client."""

    def __init__(self, client: socket.socket) -> None:
        self._client = client
        self._left = b""

    def next(self) -> Request | None:
        """The next request; ``None`` where the client has left. Raises ``Refused``, ``OSError``."""
        head = self._left
        while b"\r\n\r\n" not in head:
            if len(head) > MAX_HEAD_BYTES:
                raise Refused(431)
            more = self._client.recv(READ_BYTES)
            if not more:
                return None
            head += more
        head, _, self._left = head.partition(b"\r\n\r\n")
        return Request(head)


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


def unchanged(wanted: str, tag: str) -> bool:
    """Whether an If-None-Match header names this entity tag."""
    known = [one.strip().removeprefix("W/") for one in wanted.split(",")]
    return tag in known or "*" in known


def byte_range(wanted: str, size: int) -> tuple[int, int] | None:
    """Begin and end of a single range; everything where there is none that is meant; ``None`` beyond the end."""
    unit, _, spans = wanted.partition("=")
    first, dash, last = spans.strip().partition("-")
    numbers = all(not one or (one.isascii() and one.isdigit()) for one in (first, last))
    if unit.strip() != "bytes" or not dash or not numbers or not (first or last):
        return 0, size
    if not first:
        begin, end = max(0, size - int(last)), size
    else:
        begin, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < begin:
            return 0, size
    return (begin, end) if begin < end else None
