"""What an engine's stop leaves, and what the next one on the same data takes up."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from e2b import AsyncSandbox, SandboxState
from e2b.exceptions import SandboxNotFoundException

from kit.testing import eventually_sync
from tests.fixtures.engine import RunningEngine, start_engine


def again(engine: RunningEngine, **settings: Any) -> RunningEngine:
    """Another engine on the same data and port."""
    return start_engine(engine.data_dir, port=engine.port, **settings)


async def test_a_stop_keeps_every_sandbox_with_its_files_and_its_time(tmp_path: Path) -> None:
    engine = start_engine(tmp_path / "engine")
    ran = await AsyncSandbox.create(timeout=600, metadata={"n": "1"}, envs={"A": "b"}, **engine.sdk)
    frozen = await AsyncSandbox.create(timeout=600, **engine.sdk)
    on_disk = await AsyncSandbox.create(timeout=600, **engine.sdk)
    for one in (ran, frozen, on_disk):
        await one.files.write("mine", one.sandbox_id)
    await ran.commands.run("sleep 600", background=True)
    snapshot = await ran.create_snapshot(name="kept")
    await frozen.pause()
    await on_disk.pause(mode="filesystem")
    before = {one: await one.get_info() for one in (ran, frozen, on_disk)}
    assert engine.stop() == 0

    engine = again(engine)
    try:
        for one in (ran, frozen, on_disk):
            after = await one.get_info()
            assert (after.state, after.started_at) == (before[one].state, before[one].started_at)
        late = (await ran.get_info()).end_at - before[ran].end_at
        assert abs(late.total_seconds()) < 1
        assert await ran.files.read("mine") == ran.sandbox_id, "whoever uses it finds it running"
        assert (await ran.commands.run("echo $A")).stdout == "b\n"
        assert len(await ran.commands.list()) == 0, "its processes are gone"
        assert (await ran.get_info()).metadata == {"n": "1"}
        assert not await frozen.is_running()
        for one in (frozen, on_disk):
            await one.connect(timeout=60)
            assert await one.files.read("mine") == one.sandbox_id
        copy = await AsyncSandbox.create("kept", **engine.sdk)
        assert await copy.files.read("mine") == ran.sandbox_id
        assert await AsyncSandbox.delete_snapshot(snapshot.snapshot_id, **engine.sdk)
    finally:
        engine.stop()


async def test_only_who_may_use_it_wakes_it(tmp_path: Path) -> None:
    engine = start_engine(tmp_path / "engine")
    sandbox = await AsyncSandbox.create(timeout=600, **engine.sdk)
    await sandbox.files.write("mine", "text")
    assert engine.stop() == 0
    engine = again(engine)
    record = engine.data_dir / "paused" / f"{sandbox.sandbox_id}.json"
    try:
        async with httpx.AsyncClient(base_url=engine.url) as client:
            headers = {"E2b-Sandbox-Id": sandbox.sandbox_id, "X-Access-Token": "guessed"}
            for path in ("/files?path=mine", "/health", "/process.Process/List"):
                assert (await client.get(path, headers=headers)).status_code == 401
        assert record.exists(), "it still lies on the disk"
        link = sandbox.download_url("mine", use_signature_expiration=60)
        async with httpx.AsyncClient() as client:
            assert (await client.get(link)).text == "text"
        assert not record.exists()
    finally:
        engine.stop()


async def test_a_preview_wakes_what_ran(tmp_path: Path) -> None:
    engine = start_engine(tmp_path / "engine")
    sandbox = await AsyncSandbox.create(timeout=600, **engine.sdk)
    assert engine.stop() == 0
    engine = again(engine, port_wait=0)
    try:
        async with httpx.AsyncClient() as client:
            answer = await client.get(engine.url, headers={"Host": sandbox.get_host(8000)})
        assert answer.json()["message"] == "The sandbox is running but port is not open"
    finally:
        engine.stop()


async def test_what_is_over_is_not_taken_up(tmp_path: Path) -> None:
    engine = start_engine(tmp_path / "engine")
    short = await AsyncSandbox.create(timeout=60, **engine.sdk)
    sleeper = await AsyncSandbox.create(timeout=60, lifecycle={"on_timeout": "pause"}, **engine.sdk)
    await sleeper.files.write("mine", "text")
    await sleeper.set_timeout(1)
    await short.set_timeout(1)
    assert engine.stop() == 0
    await asyncio.sleep(1.1)  # nothing to wait for: no engine runs while its time passes
    engine = again(engine)
    try:
        with pytest.raises(SandboxNotFoundException):
            await short.connect()
        assert not list((engine.data_dir / "paused").glob(f"{short.sandbox_id}*"))
        await sleeper.connect()
        assert await sleeper.files.read("mine") == "text"
    finally:
        engine.stop()


async def test_a_kill_loses_what_ran_and_keeps_what_was_put_away(tmp_path: Path) -> None:
    engine = start_engine(tmp_path / "engine")
    ran = await AsyncSandbox.create(timeout=600, **engine.sdk)
    away = await AsyncSandbox.create(timeout=600, **engine.sdk)
    woken = await AsyncSandbox.create(timeout=600, **engine.sdk)
    gone = await AsyncSandbox.create(timeout=600, **engine.sdk)
    for one in (ran, away, woken, gone):
        await one.files.write("mine", one.sandbox_id)
    snapshot = await ran.create_snapshot()
    for one in (away, woken, gone):
        await one.pause(mode="filesystem")
    await woken.connect()
    await gone.kill()
    jails = psutil.Process(engine.pid).children(recursive=True)
    engine.process.kill()
    engine.process.wait()
    eventually_sync(lambda: not any(one.is_running() for one in jails))

    engine = again(engine)
    try:
        for lost in (ran, woken, gone):
            with pytest.raises(SandboxNotFoundException):
                await lost.connect()
        assert (await away.get_info()).state == SandboxState.PAUSED
        await away.connect()
        assert await away.files.read("mine") == away.sandbox_id
        copy = await AsyncSandbox.create(snapshot.snapshot_id, **engine.sdk)
        assert await copy.files.read("mine") == ran.sandbox_id
        listed = await AsyncSandbox.list(**engine.sdk).next_items()
        assert {one.sandbox_id for one in listed} == {away.sandbox_id, copy.sandbox_id}
    finally:
        engine.stop()


async def test_who_connects_while_the_engine_stops_loses_nothing(tmp_path: Path) -> None:
    engine = start_engine(tmp_path / "engine")
    made = [await AsyncSandbox.create(timeout=600, **engine.sdk) for _ in range(4)]
    for one in made:
        await one.commands.run("head -c 20000000 /dev/urandom > much")
        await one.files.write("mine", one.sandbox_id)
    stopping = asyncio.create_task(asyncio.to_thread(engine.stop))

    async def connect(one: AsyncSandbox) -> None:
        while not stopping.done():
            await asyncio.gather(one.connect(retries=0, request_timeout=2), return_exceptions=True)

    await asyncio.gather(*(connect(one) for one in made))
    assert await stopping == 0
    engine = again(engine)
    try:
        for one in made:
            await one.connect()
            assert await one.files.read("mine") == one.sandbox_id
    finally:
        engine.stop()


async def test_a_new_end_of_what_was_interrupted_outlives_the_next_stop(tmp_path: Path) -> None:
    engine = start_engine(tmp_path / "engine")
    sandbox = await AsyncSandbox.create(timeout=300, **engine.sdk)
    assert engine.stop() == 0
    engine = again(engine)
    await sandbox.set_timeout(3000)
    assert engine.stop() == 0, "nobody has used it in between"
    engine = again(engine)
    try:
        info = await sandbox.get_info()
        assert (info.end_at - info.started_at).total_seconds() > 2900
    finally:
        engine.stop()


async def test_a_stop_can_be_told_to_keep_nothing(tmp_path: Path) -> None:
    engine = start_engine(tmp_path / "engine", keep_seconds=0)
    sandbox = await AsyncSandbox.create(timeout=600, **engine.sdk)
    assert engine.stop() == 0
    engine = again(engine)
    try:
        with pytest.raises(SandboxNotFoundException):
            await sandbox.connect()
    finally:
        engine.stop()


async def test_half_written_and_broken_records_are_no_sandboxes(tmp_path: Path) -> None:
    folder = tmp_path / "engine" / "paused"
    folder.mkdir(parents=True)
    (folder / "ihalf.tar").write_bytes(b"half")
    (folder / "ibroken.json").write_text("{")
    (folder / "ibroken.tar").write_bytes(b"")
    (folder / "iodd.json").write_text('{"identity": 1}')
    (folder / "iodd.tar").write_bytes(b"")
    (folder / "folder").mkdir()
    snapshots = tmp_path / "engine" / "snapshots"
    snapshots.mkdir()
    (snapshots / "sodd.json").write_text('{"key": "sodd"}')
    (snapshots / "sodd.tar").write_bytes(b"")
    engine = start_engine(tmp_path / "engine")
    try:
        assert await AsyncSandbox.list(**engine.sdk).next_items() == []
        assert await AsyncSandbox.list_snapshots(**engine.sdk).next_items() == []
        assert not (folder / "ihalf.tar").exists()
        assert (folder / "ibroken.json").exists(), "somebody may still be able to read it"
    finally:
        engine.stop()
