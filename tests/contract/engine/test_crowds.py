"""Hundreds of sandboxes at once: they work, and nothing of them is left behind."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import httpx
import psutil
import pytest
from e2b import AsyncSandbox

from tests.fixtures.engine import RunningEngine, start_engine
from tests.fixtures.jails import (
    descriptors_of,
    groups_of,
    jails_of,
    names_in,
    processes_of,
    roots_of,
    until,
)

_CROWD = 220
_PATIENCE = 300.0
_SERVER = "exec python3 -I -S -m http.server 8000"


def mounts() -> str:
    """What this machine has mounted, outside of the jails."""
    return Path("/proc/self/mounts").read_text()


async def use(engine: RunningEngine, number: int) -> AsyncSandbox:
    """A sandbox with a file, a command and a page on a port."""
    sandbox = await AsyncSandbox.create(
        timeout=int(_PATIENCE) * 2, request_timeout=_PATIENCE, **engine.sdk
    )
    await sandbox.files.write("index.html", f"page {number}", request_timeout=_PATIENCE)
    server = await sandbox.commands.run(
        _SERVER, background=True, timeout=0, request_timeout=_PATIENCE
    )
    await server.disconnect()  # the SDK holds at most 200 connections, which hundreds would use up
    said = await sandbox.commands.run(
        "cat index.html", timeout=_PATIENCE, request_timeout=_PATIENCE
    )
    assert said.stdout == f"page {number}"
    return sandbox


async def page(engine: RunningEngine, client: httpx.AsyncClient, sandbox: AsyncSandbox) -> str:
    """What the sandbox serves, once it does."""
    async with asyncio.timeout(_PATIENCE):
        while True:
            answer = await client.get(engine.url, headers={"Host": sandbox.get_host(8000)})
            if answer.status_code == 200:
                return answer.text
            await asyncio.sleep(0.1)


@pytest.mark.timeout(_PATIENCE * 3)
async def test_hundreds_created_used_and_killed_in_parallel_leave_nothing_behind(
    tmp_path: Path,
) -> None:
    before_any = mounts()
    engine = start_engine(tmp_path / "data", pool_size=0, max_sandboxes=_CROWD + 5)
    try:
        before, files = descriptors_of(engine), names_in(engine.data_dir)
        made = await asyncio.gather(*(use(engine, number) for number in range(_CROWD)))
        assert len(jails_of(engine)) >= 3 * _CROWD
        async with httpx.AsyncClient(timeout=_PATIENCE) as client:
            pages = await asyncio.gather(*(page(engine, client, one) for one in made))
        assert pages == [f"page {number}" for number in range(_CROWD)]
        killed = await asyncio.gather(*(one.kill(request_timeout=_PATIENCE) for one in made))
        assert all(killed)
        until(lambda: not processes_of(engine), _PATIENCE)
        until(lambda: not groups_of(engine), _PATIENCE)
        until(lambda: descriptors_of(engine) <= before, _PATIENCE)
        (spawner,) = psutil.Process(engine.pid).children()
        assert spawner.num_fds() < 16
        assert names_in(engine.data_dir) == files
        assert mounts() == before_any
    finally:
        assert engine.stop() == 0
    assert not roots_of(engine)


async def test_an_engine_killed_amid_a_hundred_creates_leaves_nothing_behind(
    tmp_path: Path,
) -> None:
    engine = start_engine(tmp_path / "data", pool_size=4)

    async def create() -> None:
        with contextlib.suppress(Exception):  # the engine goes away under it
            await AsyncSandbox.create(
                timeout=300, request_timeout=_PATIENCE, retries=0, **engine.sdk
            )

    creating = [asyncio.ensure_future(create()) for _ in range(100)]
    await asyncio.to_thread(until, lambda: len(jails_of(engine)) >= 20, _PATIENCE)
    engine.process.kill()
    engine.process.wait()
    await asyncio.gather(*creating)
    until(lambda: not processes_of(engine), _PATIENCE)
    until(lambda: not roots_of(engine), _PATIENCE)
    again = start_engine(tmp_path / "data", pool_size=0)
    try:
        assert not groups_of(again)
        assert await (await AsyncSandbox.create(timeout=60, **again.sdk)).is_running()
    finally:
        assert again.stop() == 0
