"""Snapshots and forks: the files of one sandbox in others, through both flavours of the SDK."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from e2b import AsyncSandbox, NotFoundException, SandboxException
from e2b.exceptions import InvalidArgumentException, SandboxNotFoundException

from tests.fixtures.engine import RunningEngine

Create = Callable[..., Awaitable[Any]]


@pytest.fixture
async def made(engine: RunningEngine) -> AsyncIterator[list[str]]:
    """References of snapshots that a test makes: deleted at its end."""
    references: list[str] = []
    yield references
    for one in references:
        await AsyncSandbox.delete_snapshot(one, **engine.sdk)


async def test_a_snapshot_holds_every_kind_of_file(
    box: Any, create: Create, made: list[str]
) -> None:
    await box.commands.run(
        "mkdir -p app/empty /srv/data && printf 'a\\0b' > app/binary && ln -s ../app app/self"
        " && ln app/binary app/hard && printf x > '/srv/data/odd name' && chmod 640 app/binary"
        " && printf '#!/bin/sh\\necho ran' > app/run && chmod 755 app/run && truncate -s 40M app/sparse"
        " && touch -d @1000000000 app/binary && rm .bashrc && mkfifo app/pipe && echo t > /tmp/kept"
    )
    await box.files.write("noted", "text", metadata={"kind": "note"})
    snapshot = await box.create_snapshot()
    made.append(snapshot.snapshot_id)
    other = await create(template=snapshot.snapshot_id)
    script = (
        "stat -c '%n %a %F %Y %s' app/binary app/run app/empty app/sparse app/pipe app/self;"
        "od -c app/binary; stat -c %h app/hard; app/run; cat '/srv/data/odd name' /tmp/kept; ls -a ."
    )
    before, after = [(await one.commands.run(script)).stdout for one in (box, other)]
    assert _without_times(after) == _without_times(before)
    assert "app/binary 640 regular file 1000000000 3" in after
    assert ".bashrc" not in after
    assert (await other.files.get_info("noted")).metadata == {"kind": "note"}
    used = int((await other.commands.run("du -k app/sparse")).stdout.split()[0])
    assert used < 1024, "a hole was filled"
    await other.kill()


def _without_times(listing: str) -> list[str]:
    """A new symbolic link has a time of its own."""
    return [line for line in listing.splitlines() if not line.startswith("app/self")]


async def test_what_is_made_from_a_snapshot_goes_its_own_way(
    box: Any, create: Create, made: list[str]
) -> None:
    await box.files.write("shared", "as it was")
    snapshot = await box.create_snapshot()
    made.append(snapshot.snapshot_id)
    first, second = (
        await create(template=snapshot.snapshot_id),
        await create(template=snapshot.snapshot_id),
    )
    await first.files.write("shared", "changed")
    await box.files.write("shared", "later")
    assert await second.files.read("shared") == "as it was"
    assert (await first.get_info()).template_id == snapshot.snapshot_id
    for one in (first, second):
        await one.kill()


async def test_a_name_finds_the_latest_snapshot_of_that_name(
    box: Any, create: Create, made: list[str], engine: RunningEngine
) -> None:
    name = f"site-{box.sandbox_id}"
    for version in ("first", "second"):
        await box.files.write("version", version)
        snapshot = await box.create_snapshot(name=name)
    made.append(snapshot.snapshot_id)
    tagged = await box.create_snapshot(name=f"{name}:v1")
    made.append(tagged.snapshot_id)
    assert snapshot.snapshot_id == f"{name}:default"
    assert snapshot.names == [f"local/{name}:default"]
    other = await create(template=name)
    assert await other.files.read("version") == "second"
    await other.kill()
    found = await AsyncSandbox.list_snapshots(name=name, **engine.sdk).next_items()
    assert [one.snapshot_id for one in found] == [tagged.snapshot_id, snapshot.snapshot_id]
    found = await AsyncSandbox.list_snapshots(name=f"{name}:v1", **engine.sdk).next_items()
    assert [one.snapshot_id for one in found] == [tagged.snapshot_id]
    assert not await AsyncSandbox.list_snapshots(name=f"{name}-x", **engine.sdk).next_items()


async def test_snapshots_are_listed_a_page_at_a_time_and_deleted_once(
    box: Any, engine: RunningEngine
) -> None:
    made = [(await box.create_snapshot()).snapshot_id for _ in range(3)]
    pages = AsyncSandbox.list_snapshots(sandbox_id=box.sandbox_id, limit=2, **engine.sdk)
    listed: list[str] = []
    while pages.has_next:
        page = await pages.next_items()
        assert len(page) <= 2
        listed += [one.snapshot_id for one in page]
    assert listed == made[::-1]
    for one in made:
        assert await AsyncSandbox.delete_snapshot(one, **engine.sdk)
        assert not await AsyncSandbox.delete_snapshot(one, **engine.sdk)
        with pytest.raises(SandboxException, match="not found"):
            await AsyncSandbox.create(one, **engine.sdk)


async def test_everything_else_stands_still_while_files_are_copied(
    box: Any, create: Create, made: list[str]
) -> None:
    # A program counts in two files, one after the other. In whichever order they are copied, with much
    # between them: they are at most one apart if the program stood still meanwhile.
    writer = (
        "import os\nfiles = [os.open(one, os.O_RDWR | os.O_CREAT) for one in ('1/count', '3/count')]\n"
        "n = 0\nwhile True:\n n += 1\n"
        " for one in files:\n  os.pwrite(one, b'%020d' % n, 0)\n"
    )
    await box.files.write("writer.py", writer)
    await box.commands.run(
        "mkdir 1 && mkdir 2 && mkdir 3 && head -c 60000000 /dev/urandom > 2/much"
    )
    process = await box.commands.run("exec python3 -I -S writer.py", background=True)
    await box.commands.run("until [ -s 3/count ]; do sleep 0.01; done")
    snapshot = await box.create_snapshot()
    made.append(snapshot.snapshot_id)
    other = await create(template=snapshot.snapshot_id)
    first, second = [int(await other.files.read(f"{one}/count")) for one in (1, 3)]
    assert first - second in (0, 1)
    before = int(await box.files.read("3/count"))
    await box.commands.run(
        f"until [ $(cat 3/count | sed 's/^0*//') -gt {before} ]; do sleep 0.01; done"
    )
    assert [one.pid for one in await box.commands.list()] == [process.pid]
    await process.kill()
    await other.kill()


async def test_a_snapshot_that_can_not_be_is_refused(
    sandbox: AsyncSandbox, engine: RunningEngine
) -> None:
    with pytest.raises(SandboxException, match="name: has up to 128 small letters"):
        await sandbox.create_snapshot(name="No Good")
    with pytest.raises(
        SandboxException, match="name: 'base:latest' is a template of this engine's"
    ):
        await sandbox.create_snapshot(name="base:latest")
    with pytest.raises(SandboxException, match="snapshots hold files only"):
        await sandbox.create_snapshot(mode="full")
    await sandbox.pause()
    with pytest.raises(SandboxException, match="is paused"):
        await sandbox.create_snapshot()
    with pytest.raises(SandboxException, match="is paused"):
        await sandbox.fork()
    with pytest.raises(SandboxNotFoundException):
        await AsyncSandbox.create_snapshot("inothere", **engine.sdk)
    async with httpx.AsyncClient(base_url=engine.url, headers={"X-API-KEY": "k"}) as client:
        answer = await client.delete("/templates/base")
        assert (answer.status_code, answer.json()["code"]) == (409, 409)
        assert (await client.get("/templates/aliases/base")).json()["templateID"] == "base"
        assert (await client.get("/templates/aliases/nothing")).status_code == 404


async def test_forks_begin_with_the_files_and_settings_of_their_source(
    create: Create, engine: RunningEngine
) -> None:
    source = await create(metadata={"kind": "source"}, envs={"WHO": "source"})
    await source.files.write("state", "before")
    process = await source.commands.run("sleep 60", background=True)
    forks = await source.fork(count=3, timeout=60)
    assert len({fork.sandbox_id for fork in forks} | {source.sandbox_id}) == 4
    for fork in forks:
        assert await _async(fork.files.read, "state") == "before"
        assert (await _async(fork.commands.run, "echo $WHO")).stdout == "source\n"
        assert await _async(fork.commands.list) == []
        info = await _async(fork.get_info)
        assert info.metadata == {"kind": "source"}
        assert 50 < (info.end_at - info.started_at).total_seconds() <= 61
        await _async(fork.files.write, "state", "after")
    assert await source.files.read("state") == "before"
    assert [one.pid for one in await source.commands.list()] == [process.pid]
    for one in (source, *forks):
        await _async(one.kill)


async def _async(call: Any, *arguments: Any) -> Any:
    """Forks of the synchronous flavour are its own, not wrapped."""
    if asyncio.iscoroutinefunction(call):
        return await call(*arguments)
    result = await asyncio.to_thread(call, *arguments)
    return await result if asyncio.iscoroutine(result) else result


async def test_what_can_not_be_forked_says_so(sandbox: AsyncSandbox, engine: RunningEngine) -> None:
    with pytest.raises(InvalidArgumentException):
        await sandbox.fork(count=0)
    async with httpx.AsyncClient(base_url=engine.url, headers={"X-API-KEY": "k"}) as client:
        path = f"/sandboxes/{sandbox.sandbox_id}/fork"
        for body, field in (
            ({"count": 101}, "count"),
            ({"count": "two"}, "count"),
            ({"timeout": -1}, "timeout"),
            ({"timeout": 10**9}, "timeout"),
        ):
            answer = await client.post(path, json=body)
            assert answer.status_code == 400
            assert field in answer.json()["message"]
    await sandbox.kill()
    with pytest.raises(SandboxNotFoundException):
        await sandbox.fork()
    with pytest.raises(NotFoundException):
        await AsyncSandbox.fork("inothere", **engine.sdk)


async def test_a_sandbox_killed_while_it_is_copied_is_not_found(sandbox: AsyncSandbox) -> None:
    await sandbox.commands.run("head -c 150000000 /dev/urandom > much")
    copying = asyncio.create_task(sandbox.create_snapshot())
    forking = asyncio.create_task(sandbox.fork())
    await sandbox.commands.list()  # an answer later they have begun
    await sandbox.kill()
    for task in (copying, forking):
        with pytest.raises(SandboxNotFoundException):
            await task


async def test_forks_that_find_no_place_tell_each_for_itself(tmp_path_factory: Any) -> None:
    from tests.fixtures.engine import start_engine

    small = start_engine(tmp_path_factory.mktemp("small"), max_sandboxes=2, pool_size=0)
    try:
        source = await AsyncSandbox.create(timeout=60, **small.sdk)
        results = await source.fork(count=2)
        assert sorted(isinstance(one, AsyncSandbox) for one in results) == [False, True]
        failed = next(one for one in results if not isinstance(one, AsyncSandbox))
        assert "at most 2 sandboxes" in str(failed)
    finally:
        assert small.stop() == 0
