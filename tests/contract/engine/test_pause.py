"""Sandboxes that are paused in memory and resumed."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from e2b import (
    AsyncSandbox,
    SandboxException,
    SandboxQuery,
    SandboxState,
)

from kit.testing import eventually
from tests.contract.engine.conftest import Create
from tests.fixtures.engine import RunningEngine


async def stopped(box: Any) -> None:
    for _ in range(500):
        if not await box.is_running():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it still runs")


async def test_a_paused_sandbox_stands_still_and_goes_on_where_it_was(
    create: Create, engine: RunningEngine
) -> None:
    box = await create()
    await box.files.write("f", "kept")
    count = "n=0; while true; do n=$((n+1)); echo $n > n; sleep 0.01; done"
    command = await box.commands.run(count, background=True, timeout=0)
    await eventually(lambda: box.files.exists("n"))
    assert await box.pause()
    assert not await box.is_running()
    assert not await box.pause()
    assert (await box.get_info()).state == SandboxState.PAUSED
    assert await box.get_metrics() == []
    with pytest.raises(SandboxException):
        await box.files.read("f")
    async with httpx.AsyncClient(base_url=engine.url) as client:
        answer = await client.get("/", headers={"Host": box.get_host(8000)})
        assert answer.json()["message"] == "The sandbox was not found"

    again: Any = await AsyncSandbox.connect(box.sandbox_id, timeout=900, **engine.sdk)
    info = await again.get_info()
    assert info.state == SandboxState.RUNNING
    assert info.end_at > datetime.now(UTC) + timedelta(seconds=800)
    assert await again.files.read("f") == "kept"
    assert [one.pid for one in await again.commands.list()] == [command.pid]
    before = await again.files.read("n")
    for _ in range(500):
        if await again.files.read("n") not in (before, ""):
            break
        await asyncio.sleep(0.02)
    assert await again.files.read("n") != before
    assert await again.commands.kill(command.pid)
    assert await again.kill()


async def test_a_paused_sandbox_is_listed_can_be_killed_and_does_not_expire(
    engine: RunningEngine,
) -> None:
    mark = {"mark": "paused"}
    box = await AsyncSandbox.create(timeout=1, metadata=mark, **engine.sdk)
    await box.pause()
    # One that was made later and runs has reached its end: so has the time that this one had.
    later = await AsyncSandbox.create(timeout=1, **engine.sdk)
    await stopped(later)
    paused = SandboxQuery(metadata=mark, state=[SandboxState.PAUSED])
    (listed,) = await AsyncSandbox.list(query=paused, **engine.sdk).next_items()
    assert listed.sandbox_id == box.sandbox_id
    assert await box.kill()
    assert await AsyncSandbox.list(query=paused, **engine.sdk).next_items() == []


async def test_pausing_ends_streams_and_leaves_their_commands(sandbox: AsyncSandbox) -> None:
    command = await sandbox.commands.run("read x; echo got $x", background=True, stdin=True)
    await sandbox.pause()
    with pytest.raises(SandboxException):
        await command.wait()
    await sandbox.connect(timeout=60)
    joined = await sandbox.commands.connect(command.pid)
    await sandbox.commands.send_stdin(command.pid, "it\n")
    assert (await joined.wait()).stdout == "got it\n"


async def test_a_sandbox_can_pause_at_its_timeout_and_wake_by_a_request(
    engine: RunningEngine,
) -> None:
    sleeper = await AsyncSandbox.create(
        timeout=1, lifecycle={"on_timeout": "pause", "auto_resume": False}, **engine.sdk
    )
    await stopped(sleeper)
    assert (await sleeper.get_info()).state == SandboxState.PAUSED
    assert await sleeper.kill()
    waker = await AsyncSandbox.create(
        timeout=60, lifecycle={"on_timeout": "pause", "auto_resume": True}, **engine.sdk
    )
    await waker.files.write("f", "awake")
    await waker.pause()
    assert (await waker.get_info()).state == SandboxState.PAUSED
    assert await waker.files.read("f") == "awake"
    assert (await waker.get_info()).state == SandboxState.RUNNING
    assert await waker.kill()
