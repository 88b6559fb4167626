"""The preview proxy beside the same static server reached directly: requests a second, and p99.

    python -m bench.proxy [--seconds 3]

One kind of server process, inside a sandbox and outside of any; one client for both, which keeps
its connections alive; one page of 2 kB. Prints ratios of figures of the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import uvloop
from e2b import AsyncSandbox

from kit.testing import free_port
from tests.fixtures.engine import start_engine

_PYTHON = "/usr/bin/python3"  # the one that sandboxes run
_PAGE = "<!doctype html><title>page</title>" + "x" * 2000
_SERVER = """
import http.server, sys
class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    def log_message(self, *args): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
_CONCURRENCIES = (1, 16, 64)


@dataclass
class Figures:
    """Of one run: requests a second, and latencies in milliseconds."""

    seconds: float
    samples: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return len(self.samples) / self.seconds

    def percentile(self, share: float) -> float:
        return sorted(self.samples)[int(len(self.samples) * share)]


class _Client(asyncio.Protocol):
    """Asks again as soon as it is answered, until it is told to stop."""

    def __init__(self, request: bytes, samples: list[float], stopped: asyncio.Future[None]) -> None:
        self._request = request
        self._samples = samples
        self._stopped = stopped
        self.asking = True
        self._transport: asyncio.Transport
        self._received = b""
        self._begin = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's is one in all but name
        self._ask()

    def _ask(self) -> None:
        self._begin = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if end and not head.startswith(b"HTTP/1.1 200 "):
            self._fail(RuntimeError(self._received.decode()))
        if not end or self._stopped.done() or len(body) < len(_PAGE):
            return
        self._samples.append((time.perf_counter() - self._begin) * 1000)
        if self.asking:
            self._received = b""
            self._ask()
        else:
            self._transport.close()

    def _fail(self, error: Exception) -> None:
        if not self._stopped.done():
            self._stopped.set_exception(error)
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._stopped.done():
            return
        if self.asking:
            self._stopped.set_exception(exc or ConnectionError("closed"))
        else:
            self._stopped.set_result(None)


async def load(port: int, host: str, concurrency: int, seconds: float) -> Figures:
    """Ask from so many connections, for so long."""
    loop = asyncio.get_running_loop()
    request = f"GET /page.html HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n\r\n".encode()
    begin = time.perf_counter()
    samples: list[float] = []
    ends = [loop.create_future() for _ in range(concurrency)]
    clients = [_Client(request, samples, end) for end in ends]
    for client in clients:
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc]  # the default binds it early
    await asyncio.sleep(seconds)
    for client in clients:
        client.asking = False
    await asyncio.gather(*ends)
    return Figures(time.perf_counter() - begin, samples)


@contextlib.contextmanager
def bare_server() -> Iterator[int]:
    """The server outside of any sandbox; its port."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "page.html").write_text(_PAGE)
        server = subprocess.Popen([_PYTHON, "-c", _SERVER, str(port)], cwd=folder)
        try:
            yield port
        finally:
            server.terminate()
            server.wait()


async def until_answered(port: int, host: str) -> None:
    """Raises TimeoutError when nothing does so within 10 s."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, RuntimeError):
            await load(port, host, 1, 0.01)
            return
        await asyncio.sleep(0.02)
    raise TimeoutError(host)


def report(concurrency: int, direct: Figures, through: Figures) -> None:
    """One line."""
    print(
        f"{concurrency:>12}{direct.rate:>10.0f}{through.rate:>10.0f}"
        f"{direct.rate / through.rate:>8.2f}"
        f"{direct.percentile(0.5):>10.2f}{through.percentile(0.5):>10.2f}"
        f"{through.percentile(0.5) / direct.percentile(0.5):>8.2f}"
        f"{direct.percentile(0.99):>10.2f}{through.percentile(0.99):>10.2f}"
        f"{through.percentile(0.99) / direct.percentile(0.99):>8.2f}",
        flush=True,
    )


async def main(seconds: float) -> None:
    print(f"{'':>12}{'requests a second':>28}{'p50 ms':>28}{'p99 ms':>28}")
    print(f"{'connections':>12}" + f"{'direct':>10}{'proxy':>10}{'ratio':>8}" * 3)
    with tempfile.TemporaryDirectory() as folder, bare_server() as port:
        engine = start_engine(Path(folder))
        try:
            sandbox = await AsyncSandbox.create(timeout=600, **engine.sdk)
            await sandbox.files.write("site/page.html", _PAGE)
            await sandbox.files.write("server.py", _SERVER)
            await sandbox.commands.run(
                "exec python3 ../server.py 8000", background=True, cwd="site", timeout=0
            )
            host = sandbox.get_host(8000)
            await until_answered(port, "localhost")
            await until_answered(engine.port, host)
            for concurrency in _CONCURRENCIES:
                direct = await load(port, "localhost", concurrency, seconds)
                through = await load(engine.port, host, concurrency, seconds)
                report(concurrency, direct, through)
        finally:
            engine.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    uvloop.run(main(parser.parse_args().seconds))
