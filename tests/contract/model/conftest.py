"""Composed sites behind a web server, as a browser meets them."""

import mimetypes
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from local.model.composer import brief
from local.model.composer.compose import compose
from local.model.composer.site import Site


class _Sites(ThreadingHTTPServer):
    """Serves `/{number}/{path}` from memory."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.sites: list[Site] = []


class _Handler(BaseHTTPRequestHandler):
    server: _Sites

    def do_GET(self) -> None:
        number, _, path = self.path.partition("?")[0].lstrip("/").partition("/")
        content = self.server.sites[int(number)].files.get(path) if number.isdigit() else None
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Type", mimetypes.guess_type(path)[0] or "text/plain")
        self.end_headers()
        self.wfile.write((content or "").encode())

    def log_message(self, *_: object) -> None:
        """Quiet: a failing test names the address itself."""


@pytest.fixture(scope="session")
def serve_site() -> Iterator[Callable[[str], tuple[Site, str]]]:
    """Compose the site of a prompt and serve it: the site and its address."""
    server = _Sites()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()

    def serve(prompt: str) -> tuple[Site, str]:
        site = compose(brief.parse(prompt))
        server.sites.append(site)
        port = server.server_address[1]
        return site, f"http://127.0.0.1:{port}/{len(server.sites) - 1}"

    yield serve
    server.shutdown()
    server.server_close()
    thread.join()
