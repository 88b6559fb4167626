"""One client, until it leaves."""

# Importing pathlib costs a sandbox a megabyte.
# ruff: noqa: PTH112, PTH113, PTH123

from __future__ import annotations

import os
import socket

from . import events, pages
from .folder import Folder
from .http import READ_BYTES, REASONS, Reader, Refused, Request, byte_range, date, head, unchanged
from .media import media_type
from .text import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:  # at run time it would cost a megabyte
    from typing import BinaryIO

IDLE_SECONDS = 60.0


class Connection:
    """Answers request after request."""

    def __init__(self, client: socket.socket, folder: Folder) -> None:
        self._client = client
        self._folder = folder

    def serve(self) -> None:
        """Returns when the client has left, or has to."""
        self._client.settimeout(IDLE_SECONDS)
        reader = Reader(self._client)
        try:
            while (request := reader.next()) is not None:
                self._answer(request)
                if not request.keep:
                    return
        except Refused as refused:
            reason = REASONS[refused.status]
            self._client.sendall(
                head(refused.status, {}, len(reason), keep=False) + reason.encode()
            )
        except OSError:
            return  # the client has left

    def _answer(self, request: Request) -> None:
        if request.method not in {"GET", "HEAD"}:
            request.keep = False
            body = pages.page("This is a preview", "It can be read, not written to.")
            self._page(request, 405, body, {"Allow": "GET, HEAD"})
        elif request.path.startswith(pages.OURS):
            self._own(request, request.path[len(pages.OURS) :])
        elif "\0" in request.path or ".." in request.path.split("/"):
            self._missing(request)
        else:
            self._file(request)

    def _own(self, request: Request, name: str) -> None:
        if name == "health":
            self._send(request, 200, b"ok\n", {"Content-Type": media_type("health.txt")})
        elif name == "live.js":
            self._send(request, 200, pages.asset(name), {"Content-Type": media_type(name)})
        elif name == "events" and request.method == "GET":
            request.keep = False
            events.stream(self._client, self._folder)
        else:
            self._missing(request)

    def _file(self, request: Request) -> None:
        place = self._folder.find(request.path)
        if place and os.path.isdir(place):
            if not request.path.endswith("/"):
                # From the path's parts: what begins with two slashes would lead to another host.
                target = "/" + quoted("/".join(filter(None, request.path.split("/")))) + "/"
                self._send(request, 301, b"", {"Location": target})
                return
            place = self._folder.find(request.path + "index.html")
        if place is None or not os.path.isfile(place):
            self._missing(request)
        else:
            self._content(request, place, 200)

    def _missing(self, request: Request) -> None:
        own = self._folder.find("404.html")
        if request.path == "/":
            found = sorted(self._folder.snapshot())
            shown = [path for path in found if path.endswith((".html", ".htm"))]
            self._page(request, 200, pages.welcome(shown), {})
        elif own and os.path.isfile(own):
            self._content(request, own, 404)
        else:
            body = pages.page("Not found", "There is no such file in this project.")
            self._page(request, 404, body, {})

    def _content(self, request: Request, place: str, status: int) -> None:
        kind = media_type(place)
        # Before the file is read: what changes after it must not count as shown.
        version = self._folder.fresh_version() if request.wants_page else ""
        with open(place, "rb") as file:
            info = os.fstat(file.fileno())
            tag = f"{info.st_mtime_ns:x}-{info.st_size:x}"
            headers = {"Content-Type": kind, "Last-Modified": date(info.st_mtime)}
            if kind.startswith("text/html") and request.wants_page:
                html = pages.with_script(file.read(), version)
                self._entity(request, status, headers, f'"{tag}-{version}"', len(html), html)
            else:
                self._entity(request, status, headers, f'"{tag}"', info.st_size, file)

    def _entity(
        self,
        request: Request,
        status: int,
        headers: dict[str, str],
        tag: str,
        size: int,
        body: bytes | BinaryIO,
    ) -> None:
        headers.update({"ETag": tag, "Accept-Ranges": "bytes", "Vary": "Accept"})
        if status == 200 and unchanged(request.header("if-none-match"), tag):
            self._client.sendall(head(304, headers, None, keep=request.keep))
            return
        begin, end = 0, size
        if status == 200 and request.header("if-range", tag) == tag:
            span = byte_range(request.header("range"), size)
            if span is None:
                self._send(request, 416, b"", {**headers, "Content-Range": f"bytes */{size}"})
                return
            if span != (0, size):
                status, (begin, end) = 206, span
                headers["Content-Range"] = f"bytes {begin}-{end - 1}/{size}"
        self._client.sendall(head(status, headers, end - begin, keep=request.keep))
        if request.method == "GET":
            self._body(body, begin, end)

    def _body(self, body: bytes | BinaryIO, begin: int, end: int) -> None:
        if isinstance(body, bytes):
            self._client.sendall(body[begin:end])
            return
        body.seek(begin)
        while begin < end:
            chunk = body.read(min(READ_BYTES, end - begin))
            if not chunk:
                raise OSError("the file became shorter")
            self._client.sendall(chunk)
            begin += len(chunk)

    def _page(self, request: Request, status: int, html: bytes, headers: dict[str, str]) -> None:
        version = self._folder.fresh_version()
        body = pages.with_script(html, version) if request.wants_page else html
        self._send(
            request,
            status,
            body,
            {"Content-Type": media_type("page.html"), "Vary": "Accept", **headers},
        )

    def _send(self, request: Request, status: int, body: bytes, headers: dict[str, str]) -> None:
        self._client.sendall(head(status, headers, len(body), keep=request.keep))
        if request.method != "HEAD":
            self._client.sendall(body)
