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

import httpx
from e2b import AsyncSandbox

from kit.testing import free_port
from tests.fixtures.engine import RunningEngine, start_engine

_KB = 1024
_BWRAP = ("bwrap", "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev")
_UNPRIVILEGED = 65_534

Samples = list[float]


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


async def creates(engine: RunningEngine, rounds: int) -> tuple[Samples, Samples]:
    """Create and kill through the SDK."""
    made: list[AsyncSandbox] = []
    killed: Samples = []

    async def create() -> None:
        made.append(await AsyncSandbox.create(timeout=60, **engine.sdk))

    created: Samples = []
    for _ in range(rounds):
        created += await timed(1, create)
        killed += await timed(1, made.pop().kill)
        await asyncio.sleep(engine_rest(engine))
    return created, killed


def engine_rest(engine: RunningEngine) -> float:
    """A pool needs a moment between two creates: that is what is being measured there."""
    return 0.6 if engine.data_dir.name == "pooled" else 0.0


async def first_page(engine: RunningEngine, rounds: int) -> Samples:
    """Create, start a server on port 8000, first 200 from its preview."""
    samples = []
    async with httpx.AsyncClient() as client:
        for _ in range(rounds):
            begin = time.perf_counter()
            sandbox = await AsyncSandbox.create(timeout=60, **engine.sdk)
            await sandbox.commands.run("exec python3 -S -m http.server 8000", background=True)
            answer = await client.get(engine.url, headers={"Host": sandbox.get_host(8000)})
            samples.append((time.perf_counter() - begin) * 1000)
            assert answer.status_code == 200, answer.text
            await sandbox.kill()
            await asyncio.sleep(engine_rest(engine))
    return samples


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
    await sandbox.commands.run("python3 -m http.server 8000", background=True, cwd="site")
    with bare_server() as url:
        async with httpx.AsyncClient() as client:
            await until_answered(client, url)
            direct = await timed(rounds, lambda: client.get(url))
            host = {"Host": sandbox.get_host(8000)}
            through = await timed(rounds, lambda: client.get(engine.url, headers=host))
    report("GET through the proxy", through, ("the server itself", direct))


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
    with tempfile.TemporaryDirectory() as folder:
        cold = start_engine(Path(folder, "cold"), pool_size=0)
        try:
            created, killed = await creates(cold, rounds)
            report("create, cold", created, ("raw bwrap python", python))
            report("kill", killed)
            report("create, cold, to the first page", await first_page(cold, rounds // 2))
            await work_inside(cold, rounds)
        finally:
            cold.stop()
        pooled = start_engine(Path(folder, "pooled"), pool_size=4)
        try:
            created, _ = await creates(pooled, rounds)
            report("create, from the pool", created, ("raw bwrap python", python))
            report("create, pooled, to the first page", await first_page(pooled, rounds // 2))
        finally:
            pooled.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    asyncio.run(main(parser.parse_args().rounds))
