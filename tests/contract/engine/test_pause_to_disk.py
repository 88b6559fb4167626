"""A pause that keeps the files alone, through both flavours of the SDK."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx
import pytest
from e2b import AsyncSandbox, SandboxException, SandboxState
from e2b.exceptions import SandboxNotFoundException

from kit.testing import eventually
from tests.fixtures.engine import RunningEngine, start_engine

Create = Callable[..., Awaitable[Any]]


@pytest.fixture
async def sandbox_that_sleeps(engine: RunningEngine) -> AsyncIterator[AsyncSandbox]:
    made = await AsyncSandbox.create(timeout=120, lifecycle={"on_timeout": "pause"}, **engine.sdk)
    yield made
    await made.kill()


async def test_files_outlive_it_and_processes_do_not(box: Any, engine: RunningEngine) -> None:
    await box.files.write("kept", "text")
    await box.commands.run("sleep 600", background=True)
    boot = await box.files.read("/proc/sys/kernel/random/boot_id")
    assert await box.pause(mode="filesystem")
    assert not await box.is_running()
    assert (await box.get_info()).state == SandboxState.PAUSED
    assert not await box.pause(mode="filesystem"), "it is paused already"
    with pytest.raises(SandboxException):
        await box.files.read("kept")
    record = engine.data_dir / "paused" / f"{box.sandbox_id}.json"
    assert record.stat().st_mode & 0o777 == 0o600
    await box.connect(timeout=100)
    assert await box.files.read("kept") == "text"
    assert await box.commands.list() == []
    assert (await box.get_info()).state == SandboxState.RUNNING
    assert await box.files.read("/proc/sys/kernel/random/boot_id") != boot
    assert not record.exists(), "what it does now would not be in those files"
    assert (await box.commands.run("echo $E2B_SANDBOX_ID")).stdout == f"{box.sandbox_id}\n"


async def test_a_reboot_drops_the_memory_that_was_kept(box: Any) -> None:
    await box.files.write("kept", "text")
    await box.commands.run("sleep 600", background=True)
    await box.pause()
    await box.connect(on_resume="reboot")
    assert await box.files.read("kept") == "text"
    assert await box.commands.list() == []


async def test_many_pauses_leave_the_files_as_they_are(box: Any) -> None:
    await box.commands.run("mkdir -p a/b && printf x > a/b/c && chmod 500 a && ln -s a/b/c link")
    for count in range(3):
        await box.files.write("count", str(count))
        await box.pause(mode="filesystem")
        await box.connect()
        assert await box.files.read("count") == str(count)
        assert await box.files.read("link") == "x"
    assert (await box.commands.run("stat -c %a a")).stdout == "500\n"


async def test_it_comes_at_the_end_of_a_life_that_asks_for_it(engine: RunningEngine) -> None:
    sleeper = await AsyncSandbox.create(
        timeout=2, lifecycle={"on_timeout": {"action": "pause", "mode": "filesystem"}}, **engine.sdk
    )
    await sleeper.files.write("kept", "text")

    async def paused() -> bool:
        return (await sleeper.get_info()).state == SandboxState.PAUSED

    await eventually(paused)
    assert (engine.data_dir / "paused" / f"{sleeper.sandbox_id}.tar").exists()
    await sleeper.connect()
    assert await sleeper.files.read("kept") == "text"
    assert await sleeper.kill()


async def test_a_sandbox_that_asks_to_be_kept_is_kept_the_other_way_where_one_fails(
    tmp_path: Path,
) -> None:
    engine = start_engine(tmp_path / "engine")
    try:
        (engine.data_dir / "paused").rename(engine.data_dir / "away")
        sandbox = await AsyncSandbox.create(
            timeout=60,
            lifecycle={"on_timeout": {"action": "pause", "mode": "filesystem"}},
            **engine.sdk,
        )
        await sandbox.files.write("kept", "text")
        with pytest.raises(SandboxException, match="cannot copy the sandbox's files"):
            await sandbox.pause(mode="filesystem")
        assert await sandbox.is_running(), "what can't be paused runs on"
        await sandbox.set_timeout(0)

        async def paused() -> bool:
            return (await sandbox.get_info()).state == SandboxState.PAUSED

        await eventually(paused)
        await sandbox.connect()
        assert await sandbox.files.read("kept") == "text"
        assert engine.log.read_text().count("cannot pause") == 1
    finally:
        engine.stop()


async def test_more_time_comes_before_a_pause_that_waits_its_turn(
    sandbox_that_sleeps: AsyncSandbox,
) -> None:
    sandbox = sandbox_that_sleeps
    await sandbox.commands.run("head -c 150000000 /dev/urandom > much")
    for _ in range(20):
        copying = asyncio.create_task(sandbox.create_snapshot())
        await sandbox.set_timeout(0)
        # Where the copy has not begun by then, or is done already, nothing keeps the pause waiting.
        in_time = await _accepted(sandbox.set_timeout(600))
        if in_time:
            break
        await asyncio.gather(copying, return_exceptions=True)
        await sandbox.connect(timeout=120)
    assert in_time, "more time never came before the pause"
    snapshot = await copying
    assert (await sandbox.get_info()).state == SandboxState.RUNNING
    assert await sandbox.is_running()
    await AsyncSandbox.delete_snapshot(
        snapshot.snapshot_id, **sandbox.connection_config.get_api_params()
    )


async def _accepted(more: Coroutine[Any, Any, None]) -> bool:
    try:
        await more
    except SandboxException as exc:
        if "is paused" in str(exc):
            return False
        raise
    return True


async def test_a_request_does_not_wake_it(engine: RunningEngine) -> None:
    body = {
        "templateID": "base",
        "autoPause": True,
        "autoPauseMemory": False,
        "autoResume": {"enabled": True},
    }
    async with httpx.AsyncClient(base_url=engine.url, headers={"X-API-KEY": "k"}) as client:
        answer = await client.post("/v2/sandboxes", json=body)
        assert answer.status_code == 400
        assert "autoResume: needs autoPauseMemory" in answer.json()["message"]


async def test_killing_it_removes_its_files(box: Any, engine: RunningEngine) -> None:
    await box.files.write("secret", "text")
    await box.pause(mode="filesystem")
    assert await AsyncSandbox.kill(box.sandbox_id, **engine.sdk)
    assert not list((engine.data_dir / "paused").glob(f"{box.sandbox_id}*"))
    with pytest.raises(SandboxNotFoundException):
        await box.connect()


async def test_an_upload_under_way_is_not_acknowledged_and_lost(sandbox: AsyncSandbox) -> None:
    half = asyncio.Event()
    rest = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"a" * 100_000
        half.set()
        await rest.wait()
        yield b"b" * 100_000

    headers = {"Content-Type": "application/octet-stream"}
    url = sandbox.upload_url("late", use_signature_expiration=60)
    async with httpx.AsyncClient(timeout=60) as client:
        upload = asyncio.create_task(client.post(url, content=body(), headers=headers))
        await half.wait()
        await eventually(lambda: sandbox.files.exists("late"))
        await sandbox.pause(mode="filesystem")
        rest.set()
        with contextlib.suppress(httpx.TransportError):  # broken off: as clear as an answer
            assert (await upload).status_code >= 400
    await sandbox.connect()
    await sandbox.files.write("late", "again")
    assert await sandbox.files.read("late") == "again"


async def test_of_calls_at_the_same_time_one_wins(sandbox: AsyncSandbox) -> None:
    await sandbox.commands.run("head -c 20000000 /dev/urandom > much")
    pauses = await asyncio.gather(*(sandbox.pause(mode="filesystem") for _ in range(4)))
    assert sorted(pauses) == [False, False, False, True]
    await asyncio.gather(*(sandbox.connect() for _ in range(4)))
    assert (await sandbox.commands.run("wc -c < much")).stdout.strip() == "20000000"


def size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


async def test_a_sandbox_killed_while_it_is_copied_leaves_nothing(
    engine: RunningEngine,
) -> None:
    sandbox = await AsyncSandbox.create(timeout=60, **engine.sdk)
    await sandbox.commands.run("head -c 100000000 /dev/urandom > much")
    pausing = asyncio.create_task(sandbox.pause(mode="filesystem"))
    tree = Path(engine.data_dir, "paused", f"{sandbox.sandbox_id}.tar")

    async def begun() -> bool:
        return pausing.done() or size_of(tree) > 0

    await eventually(begun)
    assert not pausing.done()
    await AsyncSandbox.kill(sandbox.sandbox_id, **engine.sdk)
    await asyncio.gather(pausing, return_exceptions=True)
    assert not list(tree.parent.glob(f"{sandbox.sandbox_id}*"))
    with pytest.raises(SandboxNotFoundException):
        await sandbox.get_info()
