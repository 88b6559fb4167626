"""The sandbox engine, through the unmodified SDK, beside the same work done bare.

    python -m bench.engine [--rounds 40]

Prints medians and 95th percentiles in milliseconds, and ratios of medians of the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
from e2b import AsyncSandbox, SnapshotMode

from bench.templates import NAME as PREVIEW
from bench.templates import preview_template
from kit.testing import free_port
from tests.fixtures.engine import RunningEngine, start_engine

_KB = 1024
_BWRAP = ("bwrap", "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev")
_UNPRIVILEGED = 65_534

Samples = list[float]
_REST = 0.7  # a pool refills a little after it has been taken from


async def timed(rounds: int, work: Callable[[], Awaitable[object]]) -> Samples:
    """Milliseconds of each round."""
    samples = []
    for _ in range(rounds):
        begin = time.perf_counter()
        await work()
        samples.append((time.perf_counter() - begin) * 1000)
    return samples


def p50(samples: Samples) -> float:
    return statistics.median(samples)


def p95(samples: Samples) -> float:
    return sorted(samples)[int(len(samples) * 0.95)]


def report(name: str, samples: Samples, bare: tuple[str, Samples] | None = None) -> None:
    line = f"{name:<38}{p50(samples):8.1f}{p95(samples):8.1f}"
    if bare is not None:
        line += f"   {p50(samples) / p50(bare[1]):5.1f} x {bare[0]}"
    print(line, flush=True)


def run_process(command: tuple[str, ...], uid: int | None) -> None:
    subprocess.run(command, check=True, cwd="/", user=uid, capture_output=True)


def raw(*command: str) -> Callable[[], Awaitable[object]]:
    """A bare process, under an unprivileged uid as the engine's jails are."""

    async def run() -> None:
        root = os.geteuid() == 0
        run_process(command, _UNPRIVILEGED if root else None)

    return run


def bare(work: Callable[[], object]) -> Callable[[], Awaitable[object]]:
    async def run() -> None:
        work()

    return run


async def creates(
    options: dict[str, Any], rounds: int, rest: float = 0.0
) -> tuple[Samples, Samples]:
    """Create and kill through the SDK; ``rest`` seconds between rounds, for a pool to refill."""
    made: list[AsyncSandbox] = []
    killed: Samples = []

    async def create() -> None:
        made.append(await AsyncSandbox.create(timeout=60, **options))

    created: Samples = []
    for _ in range(rounds):
        created += await timed(1, create)
        killed += await timed(1, made.pop().kill)
        await asyncio.sleep(rest)
    return created, killed


async def first_page(engine: RunningEngine, rounds: int, rest: float = 0.0) -> Samples:
    """Create a sandbox of the template with the preview server, first 200 from its preview."""
    samples = []
    async with httpx.AsyncClient() as client:
        await client.get(f"{engine.url}/health")  # its connection stands, as a browser's would
        for _ in range(rounds):
            begin = time.perf_counter()
            sandbox = await AsyncSandbox.create(PREVIEW, timeout=60, **engine.sdk)
            answer = await client.get(engine.url, headers={"Host": sandbox.get_host(8000)})
            samples.append((time.perf_counter() - begin) * 1000)
            assert answer.status_code == 200, answer.text
            await sandbox.kill()
            await asyncio.sleep(rest)
    return samples


async def copies(engine: RunningEngine, rounds: int) -> None:
    """Snapshots, what is made from them, forks, and a pause to disk and back."""
    sandbox = await AsyncSandbox.create(timeout=600, **engine.sdk)
    await sandbox.files.write("page.html", "x" * 10 * _KB)
    report("snapshot", await timed(rounds, sandbox.create_snapshot))
    forks: list[AsyncSandbox | Exception] = []

    async def fork() -> None:
        forks.extend(await sandbox.fork(timeout=60))

    report("fork", await timed(rounds, fork))
    for one in forks:
        if isinstance(one, Exception):
            raise one
        await one.kill()
    modes: tuple[SnapshotMode, ...] = ("filesystem", "full")
    for mode in modes:
        paused, resumed = await pauses(sandbox, mode, rounds)
        report(f"pause, {mode}", paused)
        report(f"resume, {mode}", resumed)
    await sandbox.kill()


async def pauses(sandbox: AsyncSandbox, mode: SnapshotMode, rounds: int) -> tuple[Samples, Samples]:
    """Pause and resume."""
    paused: Samples = []
    resumed: Samples = []
    for _ in range(rounds):
        paused += await timed(1, lambda: sandbox.pause(mode=mode))
        resumed += await timed(1, sandbox.connect)
    return paused, resumed


_CANNED = """
import asyncio, json
answer = json.dumps({"templateID": "base", "sandboxID": "i", "clientID": "c", "envdVersion": "0.6.13",
    "envdAccessToken": "t", "trafficAccessToken": "t", "domain": "localhost"}).encode()
head = b"HTTP/1.1 201 Created\\r\\ncontent-type: application/json\\r\\ncontent-length: %d\\r\\n\\r\\n"
async def serve(reader, writer):
    try:
        while True:
            asked = await reader.readuntil(b"\\r\\n\\r\\n")
            for line in asked.lower().split(b"\\r\\n"):
                if line.startswith(b"content-length:"):
                    await reader.readexactly(int(line[15:]))
            writer.write(head % len(answer) + answer)
    except asyncio.IncompleteReadError:
        writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


@contextlib.contextmanager
def canned() -> Iterator[dict[str, Any]]:
    """A control plane that answers every create at once: what is left is the SDK's own time."""
    server = subprocess.Popen([sys.executable, "-c", _CANNED], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        yield {"api_url": url, "sandbox_url": url, "api_key": "local"}
    finally:
        server.terminate()
        server.wait()


async def work_inside(engine: RunningEngine, rounds: int) -> None:
    """Files, commands and the proxy of one sandbox."""
    sandbox = await AsyncSandbox.create(timeout=600, **engine.sdk)
    text = "x" * 10 * _KB
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "page.html")
        write = await timed(rounds, bare(lambda: path.write_text(text)))
        read = await timed(rounds, bare(path.read_text))
    report(
        "write 10 kB",
        await timed(rounds, lambda: sandbox.files.write("p.html", text)),
        ("bare", write),
    )
    report("read 10 kB", await timed(rounds, lambda: sandbox.files.read("p.html")), ("bare", read))
    shell = await timed(rounds, raw("/bin/bash", "-l", "-c", "true"))
    report(
        'run("true")',
        await timed(rounds, lambda: sandbox.commands.run("true")),
        ("bare bash", shell),
    )
    await throughput(sandbox)
    await proxied(engine, sandbox, rounds)
    await sandbox.kill()


async def throughput(sandbox: AsyncSandbox) -> None:
    size = 100 * _KB * _KB
    data = os.urandom(size)
    up = await timed(3, lambda: sandbox.files.write("/big", data, use_octet_stream=True))
    down = await timed(3, lambda: sandbox.files.read("/big", format="bytes"))
    for name, samples in (("up", up), ("down", down)):
        print(f"{f'100 MB {name}':<38}{p50(samples):8.1f} ms{size / p50(samples) / 1000:8.0f} MB/s")


async def proxied(engine: RunningEngine, sandbox: AsyncSandbox, rounds: int) -> None:
    """Requests through the proxy beside the same server reached directly."""
    await sandbox.files.write("site/index.html", "hello")
    await sandbox.commands.run(
        "python3 -m http.server 8000", background=True, cwd="site", timeout=0
    )
    with bare_server() as url:
        async with httpx.AsyncClient() as client:
            await until_answered(client, url)
            direct = await timed(rounds, lambda: page(client, url))
            host = {"Host": sandbox.get_host(8000)}
            through = await timed(rounds, lambda: page(client, engine.url, host))
    report("GET through the proxy", through, ("the server itself", direct))


async def page(client: httpx.AsyncClient, url: str, headers: dict[str, str] | None = None) -> None:
    """Raises for an answer that is not the page."""
    answer = await client.get(url, headers=headers)
    if answer.status_code != 200 or answer.text != "hello":
        raise RuntimeError(f"{answer.status_code}: {answer.text}")


@contextlib.contextmanager
def bare_server() -> Iterator[str]:
    """The same server outside of any sandbox."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "index.html").write_text("hello")
        server = subprocess.Popen(
            [sys.executable, "-m", "http.server", str(port)],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield f"http://127.0.0.1:{port}/"
        finally:
            server.terminate()
            server.wait()


async def until_answered(client: httpx.AsyncClient, url: str) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            await client.get(url)
        except httpx.TransportError:
            await asyncio.sleep(0.02)
        else:
            return
    raise TimeoutError(url)


async def main(rounds: int) -> None:
    print(f"{'':<38}{'p50 ms':>8}{'p95 ms':>8}")
    true = await timed(rounds, raw(*_BWRAP, "/bin/true"))
    python = await timed(rounds, raw(*_BWRAP, "/usr/bin/python3", "-c", "pass"))
    report("raw bwrap true", true)
    report("raw bwrap python3 -c pass", python)
    with canned() as options:
        await creates(options, 5)
        sdk, _ = await creates(options, rounds, _REST)
    report("create, answered at once (the SDK)", sdk)
    with tempfile.TemporaryDirectory() as folder:
        preview_template(Path(folder, "templates"), pool=4)
        cold = start_engine(Path(folder, "cold"), pool_size=0)
        try:
            created, killed = await creates(cold.sdk, rounds)
            report("create, cold", created, ("raw bwrap python", python))
            report("kill", killed)
            await work_inside(cold, rounds)
            await copies(cold, max(5, rounds // 4))
        finally:
            cold.stop()
        pooled = start_engine(
            Path(folder, "pooled"), pool_size=4, templates_dir=Path(folder, "templates")
        )
        try:
            created, _ = await creates(pooled.sdk, rounds, _REST)
            report("create, from the pool", created, ("the SDK", sdk))
            pages = await first_page(pooled, rounds, _REST)
            report("create, pooled, to the first page", pages, ("the SDK", sdk))
        finally:
            pooled.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    asyncio.run(main(parser.parse_args().rounds))
