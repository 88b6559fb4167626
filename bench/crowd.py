"""Many generations at once on one machine, each through a sandbox of its own and watched by a client of its own.

    python -m bench.crowd [--generations 100] [--rate 80]

The stand-ins for model and sandboxes and all clients share the machine's cores with the platform: this is not what a
server can take whose model is elsewhere. Latency is from the moment at which the log has an event to that at which its
watcher has it; memory is each process's proportional share (PSS), at its highest.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import psutil

from local.stack.client import Client
from tests.fixtures.stack import RunningStack
from tests.fixtures.users import generate, new_project, signed_in

PROMPT = "a landing page for a bakery in Lisbon"
_BEGUN_AT_ONCE = 10


@dataclass
class Figures:
    """Of one crowd."""

    seconds: float = 0.0
    endings: Counter[str] = field(default_factory=Counter)
    latencies_ms: list[float] = field(default_factory=list)
    memory: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)


async def one(client: Client, room: asyncio.Semaphore, figures: Figures) -> None:
    """One user's generation, watched to its end."""
    async with room:
        project_id = await new_project(client)
        generation_id = await generate(client, project_id, PROMPT)
    async for event in client.events(generation_id):
        made = datetime.fromisoformat(event.data["createdAt"]).timestamp()
        figures.latencies_ms.append((time.time() - made) * 1000)
        name = event.name
    figures.endings[name] += 1


async def crowd(stack: RunningStack, count: int) -> Figures:
    """All of them."""
    figures = Figures()
    watching = asyncio.create_task(_weigh(stack, figures))
    async with AsyncExitStack() as users:
        clients = [await users.enter_async_context(signed_in(stack.api)) for _ in range(count)]
        room = asyncio.Semaphore(_BEGUN_AT_ONCE)
        begun = time.monotonic()
        await asyncio.gather(*(one(client, room, figures) for client in clients))
        figures.seconds = time.monotonic() - begun
    watching.cancel()
    return figures


async def _weigh(stack: RunningStack, figures: Figures) -> None:
    """Memory and processor time of each process, every few seconds."""
    while True:
        for process in psutil.Process(stack.process.pid).children():
            with suppress(psutil.NoSuchProcess):
                name = process.cmdline()[-1]
                used = process.cpu_times()
                held = (await asyncio.to_thread(process.memory_full_info)).pss / 2**20
                figures.memory[name] = max(figures.memory.get(name, 0.0), held)
                figures.cpu[name] = used.user + used.system
        await asyncio.sleep(3)


def _at(samples: list[float], share: float) -> float:
    return sorted(samples)[min(len(samples) - 1, int(len(samples) * share))]


def main() -> None:
    """Starts a stack whose limits are no limits, and lets the crowd in."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--generations", type=int, default=100)
    parser.add_argument("--rate", type=int, default=80)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stack = RunningStack(
            Path(folder),
            LOCAL_MODEL_TOKENS_PER_SECOND=str(given.rate),
            GENERATION_WORKERS=str(given.generations),
            LOCAL_SANDBOXES_MAX_SANDBOXES=str(given.generations + 20),
        )
        try:
            figures = asyncio.run(crowd(stack, given.generations))
        finally:
            stack.stop()
    endings = ", ".join(f"{count} {name}" for name, count in figures.endings.items())
    print(f"{given.generations} generations at {given.rate} tokens/s: {endings}")
    print(f"{figures.seconds:.1f} s from the first request to the last end")
    latencies = figures.latencies_ms
    print(
        f"{len(latencies)} events; log → watcher, ms: p50 {_at(latencies, 0.5):.0f}, "
        f"p95 {_at(latencies, 0.95):.0f}, p99 {_at(latencies, 0.99):.0f}"
    )
    print(f"{'process':<28}{'PSS, MiB':>10}{'CPU, s':>9}")
    for name, held in figures.memory.items():
        print(f"{name:<28}{held:>10.0f}{figures.cpu[name]:>9.1f}")


if __name__ == "__main__":
    main()
