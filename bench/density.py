"""Hundreds of idle sandboxes at once: what each holds, and what a create costs among them.

    python -m bench.density [--sandboxes 500] [--rounds 20]

Memory is the processes' proportional share (PSS): what all of a machine's processes hold adds up
to it, so that libraries which every sandbox maps count once. Milliseconds are medians and 95th
percentiles. Among ten and among many are minutes apart: before each create a bare jail is timed
too, and the last column compares the two after each has been divided by its own bare jails.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

import psutil
from e2b import AsyncSandbox

from bench.engine import Samples, p50, p95, raw, timed
from services.sandbox.model import DRAFTS, PREVIEW_PORT, SITE
from services.sandbox.preview.bundle import Options, PreviewServer
from tests.fixtures.engine import RunningEngine, start_engine
from tests.fixtures.jails import jails_of

_FEW = 10
_AT_ONCE = 4
_POOL = 4
_ARCHIVE = "/home/user/.preview.zip"
_PATIENCE = 120.0
# A pool needs a moment between two creates.
_REST_SECONDS = 0.8
_MIB = 2**20
_BARE = (
    *("bwrap", "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"),
    *("/usr/bin/python3", "-c", "pass"),
)


async def create(engine: RunningEngine) -> AsyncSandbox:
    return await AsyncSandbox.create(timeout=3600, request_timeout=_PATIENCE, **engine.sdk)


async def fill(engine: RunningEngine, made: list[AsyncSandbox], count: int) -> None:
    """Create until there are ``count``."""

    async def some() -> None:
        while len(made) + waiting[0] < count:
            waiting[0] += 1
            sandbox = await create(engine)
            waiting[0] -= 1
            made.append(sandbox)

    waiting = [0]
    await asyncio.gather(*(some() for _ in range(_AT_ONCE)))


async def creates(engine: RunningEngine, rounds: int, rest: float) -> tuple[Samples, Samples]:
    """Milliseconds of creates beside what is there, each killed at once; and of bare jails."""
    samples, bare = [], []
    for _ in range(rounds):
        bare += await timed(1, raw(*_BARE))
        await asyncio.sleep(rest)
        begin = time.perf_counter()
        sandbox = await create(engine)
        samples.append((time.perf_counter() - begin) * 1000)
        await sandbox.kill()
    return samples, bare


async def serve(made: list[AsyncSandbox]) -> None:
    """Start the platform's preview server in each, and wait until it listens."""
    preview = PreviewServer.of(_ARCHIVE, Options(SITE, DRAFTS, PREVIEW_PORT))

    async def one(sandbox: AsyncSandbox) -> None:
        await sandbox.files.write(preview.place, preview.archive)
        listening = asyncio.Event()
        server = await sandbox.commands.run(
            preview.command, background=True, timeout=0, on_stdout=lambda _: listening.set()
        )
        await asyncio.wait_for(listening.wait(), _PATIENCE)
        await server.disconnect()

    for start in range(0, len(made), _AT_ONCE):
        await asyncio.gather(*(one(sandbox) for sandbox in made[start : start + _AT_ONCE]))


def share(processes: list[psutil.Process]) -> float:
    """The MiB that these processes hold."""
    return float(sum(one.memory_full_info().pss for one in processes)) / _MIB


def memory(engine: RunningEngine, name: str, count: int) -> None:
    """Prints what a sandbox holds, and what the engine does."""
    each = share(jails_of(engine)) / count
    main = psutil.Process(engine.pid)
    print(
        f"{name:<40}{count:>5}{each:8.2f} MiB each"
        f"{main.memory_info().rss / _MIB:10.0f} MiB engine (RSS)",
        flush=True,
    )


def row(name: str, few: tuple[Samples, Samples], many: tuple[Samples, Samples]) -> None:
    """One kind of create, and how much slower it became than bare jails did meanwhile."""
    ratio = (p50(many[0]) / p50(many[1])) / (p50(few[0]) / p50(few[1]))
    figures = "".join(
        f"{p50(one):9.1f}{p95(one):8.1f}{p50(bare):8.1f}" for one, bare in (few, many)
    )
    print(f"{name:<18}{figures}{ratio:8.2f} x", flush=True)


async def measure(folder: Path, sandboxes: int, rounds: int) -> None:
    """All figures: two engines, because a pool's refills would disturb the cold creates."""
    samples: dict[str, list[tuple[Samples, Samples]]] = {"cold": [], "from the pool": []}
    for name, size, rest in (("from the pool", _POOL, _REST_SECONDS), ("cold", 0, 0.0)):
        engine = start_engine(folder / str(size), pool_size=size, max_sandboxes=sandboxes + 20)
        made: list[AsyncSandbox] = []
        try:
            for count in (_FEW, sandboxes):
                await fill(engine, made, count)
                if not size:
                    memory(engine, "idle sandboxes", count)
                samples[name].append(await creates(engine, rounds, rest))
            if not size:
                await serve(made)
                memory(engine, "with the preview server", sandboxes)
        finally:
            engine.stop()
    heads = "".join(f"{f'among {count}':>9}{'p95':>8}{'bare':>8}" for count in (_FEW, sandboxes))
    print(f"\n{'create, ms':<18}{heads}")
    for name, (few, many) in samples.items():
        row(name, few, many)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sandboxes", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder), arguments.sandboxes, arguments.rounds))


if __name__ == "__main__":
    main()
