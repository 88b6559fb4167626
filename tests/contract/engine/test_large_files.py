"""Large files and many files: streamed up and down, and never held by the engine."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from e2b import AsyncSandbox, Sandbox

from tests.contract.engine.conftest import Create
from tests.fixtures.engine import RunningEngine

_MB = 1024 * 1024
_SIZE = 100 * _MB
_GROWTH = 48 * _MB


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100 MB that compress well and repeat nowhere near a chunk's size."""
    block = random.Random(1).randbytes(10_007)
    path = tmp_path_factory.mktemp("large") / "file"
    with path.open("wb") as file:
        while file.tell() < _SIZE:
            file.write(block)
        file.truncate(_SIZE)
    return path


@contextlib.contextmanager
def bounded(engine: RunningEngine) -> Iterator[None]:
    """At no time in here does the engine hold much more than before."""
    process = psutil.Process(engine.pid)
    before = process.memory_info().rss
    peak, stop = before, threading.Event()

    def sample() -> None:
        nonlocal peak
        while not stop.wait(0.01):
            peak = max(peak, process.memory_info().rss)

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield
    finally:
        stop.set()
        sampler.join()
    assert peak - before < _GROWTH


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def down(sandbox: AsyncSandbox, compressed: bool) -> str:
    seen = hashlib.sha256()
    async with await sandbox.files.read("large", format="stream", gzip=compressed) as parts:
        async for part in parts:
            seen.update(part)
    return seen.hexdigest()


def down_sync(sandbox: Sandbox, compressed: bool) -> str:
    seen = hashlib.sha256()
    for part in sandbox.files.read("large", format="stream", gzip=compressed):
        seen.update(part)
    return seen.hexdigest()


@pytest.mark.parametrize(
    "options",
    [{}, {"use_octet_stream": True}, {"gzip": True}],
    ids=["multipart", "octets", "gzip"],
)
async def test_a_hundred_megabytes_go_up_and_down(
    engine: RunningEngine, sandbox: AsyncSandbox, large: Path, options: dict[str, Any]
) -> None:
    wanted = digest(large)
    compressed = options.get("gzip", False)
    twin = await asyncio.to_thread(
        lambda: Sandbox.connect(sandbox.sandbox_id, timeout=60, **engine.sdk)
    )
    with bounded(engine), large.open("rb") as file:
        await sandbox.files.write("large", file, request_timeout=120, **options)
    done = await sandbox.commands.run("sha256sum < large")
    assert done.stdout.split()[0] == wanted
    with bounded(engine):
        assert await down(sandbox, compressed) == wanted
    await sandbox.files.remove("large")
    with bounded(engine), large.open("rb") as file:
        await asyncio.to_thread(twin.files.write, "large", file, request_timeout=120, **options)
    with bounded(engine):
        assert await asyncio.to_thread(down_sync, twin, compressed) == wanted


async def test_a_thousand_files_go_in_one_call(engine: RunningEngine, create: Create) -> None:
    box = await create()
    files = [{"path": f"many/{n % 10}/{n}.txt", "data": f"file {n}\n" * 100} for n in range(1000)]
    with bounded(engine):
        written = await box.files.write_files(files, request_timeout=120)
    assert [one.path for one in written] == [f"/home/user/{one['path']}" for one in files]
    counted = await box.commands.run("find many -type f | wc -l; cat many/*/* | wc -l")
    assert counted.stdout.split() == ["1000", "100000"]
    assert await box.files.read("many/9/999.txt") == "file 999\n" * 100
    listed = await box.files.list("many", depth=2)
    assert len([one for one in listed if one.name.endswith(".txt")]) == 1000
    await box.kill()


async def test_a_body_that_never_says_its_size_streams_too(
    engine: RunningEngine, sandbox: AsyncSandbox
) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for number in range(100):
            yield bytes([number]) * _MB

    headers: dict[str, Any] = dict(sandbox.connection_config.sandbox_headers)
    headers |= {"E2b-Sandbox-Id": sandbox.sandbox_id, "Content-Type": "application/octet-stream"}
    with bounded(engine):
        async with httpx.AsyncClient(base_url=engine.url, timeout=60) as client:
            sent = await client.post("/files?path=chunked", content=parts(), headers=headers)
    assert sent.status_code == 200
    assert (await sandbox.files.get_info("chunked")).size == 100 * _MB
