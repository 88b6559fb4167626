"""What a request is answered with."""

# Importing pathlib costs a sandbox a megabyte.
# ruff: noqa: PTH123

from __future__ import annotations

import os

from . import pages
from .conditions import unchanged, wanted_range
from .http import Request, date
from .inject import OURS, with_script
from .media import media_type
from .shown import Shown
from .text import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:  # at run time it would cost a megabyte
    from typing import BinaryIO

PAGE = media_type("page.html")
MAX_PAGE_BYTES = 8 * 1024 * 1024
"""A page is held in memory to get the script; a larger one is sent as it is."""
_ASSETS = ("live.js", "repaint.js")


class Answer:
    """A status, headers, and of a body the bytes from ``begin`` to ``end``. ``body`` may be an open file."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes | BinaryIO = b"") -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.begin = 0
        self.end = len(body) if isinstance(body, bytes) else 0

    def close(self) -> None:
        """Gives back what is held open."""
        if not isinstance(self.body, bytes):
            self.body.close()


class Answers:
    """Finds what is asked for."""

    def __init__(self, shown: Shown, *, single_page: bool, version: str) -> None:
        """``single_page``: pages that aren't there are answered with index.html. ``version``: the server's own."""
        self._shown = shown
        self._single_page = single_page
        self._version = version

    def to(self, request: Request) -> Answer:
        """The answer; whoever gets it closes it."""
        if request.method not in {"GET", "HEAD"}:
            body = pages.page("This is a preview", "It can be read, not written to.")
            return Answer(405, {"Content-Type": PAGE, "Allow": "GET, HEAD"}, body)
        if request.path.startswith(OURS):
            return self._own(request.path[len(OURS) :])
        parts = request.path.split("/")
        path = "/".join(filter(None, parts))
        if ".." in parts:
            return self._missing(request, path)
        if request.path.endswith("/"):
            path = f"{path}/index.html".lstrip("/")
        elif self._shown.has_folder(path):
            # From the path's parts: what begins with two slashes would lead to another host.
            return Answer(301, {"Location": f"/{quoted(path)}/"})
        return self._file(request, path, 200) or self._missing(request, path)

    def _own(self, name: str) -> Answer:
        if name == "health":
            return Answer(
                200, {"Content-Type": media_type("health.txt")}, f"ok {self._version}\n".encode()
            )
        if name in _ASSETS:
            # A page in a sandboxed frame has no origin of its own.
            headers = {"Content-Type": media_type(name), "Access-Control-Allow-Origin": "*"}
            return Answer(200, headers, pages.asset(name))
        return Answer(
            404, {"Content-Type": PAGE}, pages.page("Not found", "There is no such page.")
        )

    def _missing(self, request: Request, path: str) -> Answer:
        """The project's own answer to what isn't there, or else ours."""
        may_be_page = _may_be_page(request, path)
        if may_be_page and (found := self._file(request, "200.html", 200)):
            return found
        if path == "index.html":
            return self._page(request, 200, pages.welcome(self._shown.pages()))
        if found := self._file(request, "404.html", 404):
            return found
        if may_be_page and self._single_page and (found := self._file(request, "index.html", 200)):
            return found
        body = pages.page("Not found", "There is no such file in this project.")
        return self._page(request, 404, body)

    def _file(self, request: Request, path: str, status: int) -> Answer | None:
        """The content of a file; ``None`` where it can't be shown."""
        # Before the file is read: what changes after it must not count as shown.
        version = self._shown.view().version if request.wants_page else ""
        place = self._shown.place(path)
        if place is None:
            return None
        try:
            file = open(place, "rb", buffering=0)  # noqa: SIM115 - whoever gets the answer closes it
        except OSError:
            return None  # it went away, or nobody may read it
        info = os.fstat(file.fileno())
        tag = f"{info.st_mtime_ns:x}-{info.st_size:x}"
        answer = Answer(status, {"Content-Type": media_type(path)}, file)
        if version and answer.headers["Content-Type"] == PAGE and info.st_size <= MAX_PAGE_BYTES:
            answer = Answer(status, answer.headers, with_script(_read(file), version, path))
            file.close()
            return _conditional(request, answer, f'"{tag}-{version}"', "")
        answer.end = info.st_size
        return _conditional(request, answer, f'"{tag}"', date(info.st_mtime))

    def _page(self, request: Request, status: int, html: bytes) -> Answer:
        if request.wants_page:
            html = with_script(html, self._shown.view().version, "")
        return Answer(status, {"Content-Type": PAGE, "Vary": "Accept, Sec-Fetch-Dest"}, html)


def _conditional(request: Request, answer: Answer, tag: str, modified: str) -> Answer:
    """The answer, or as much of it as the client asks for."""
    headers = answer.headers
    headers.update({"ETag": tag, "Accept-Ranges": "bytes", "Vary": "Accept, Sec-Fetch-Dest"})
    if modified:
        headers["Last-Modified"] = modified
    if answer.status != 200:
        return answer
    if unchanged(request, tag, modified):
        answer.close()
        return Answer(304, headers)
    size = answer.end
    span = wanted_range(request, tag, size) if request.method == "GET" else (0, size)
    if span is None:
        answer.close()
        return Answer(416, {**headers, "Content-Range": f"bytes */{size}"})
    if span != (0, size):
        answer.status, (answer.begin, answer.end) = 206, span
        headers["Content-Range"] = f"bytes {span[0]}-{span[1] - 1}/{size}"
    return answer


def _read(file: BinaryIO) -> bytes:
    pieces = []
    while piece := file.read(MAX_PAGE_BYTES):
        pieces.append(piece)
    return b"".join(pieces)


def _may_be_page(request: Request, path: str) -> bool:
    """Whether an address that leads to no file may be one that the project's own script understands."""
    name = path.rpartition("/")[2]
    by_script = request.header("sec-fetch-dest") and not request.wants_page
    return not by_script and ("." not in name or name == "index.html")
