"""Directories watched for changes, streamed and polled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from e2b import (
    AsyncSandbox,
    FilesystemEvent,
    FilesystemEventType,
    InvalidArgumentException,
    NotFoundException,
    Sandbox,
    SandboxException,
)

from kit.testing import eventually_sync
from tests.fixtures.engine import RunningEngine

_GONE = (FilesystemEventType.REMOVE, FilesystemEventType.RENAME)


class Seen(list[FilesystemEvent]):
    """Events as they come; ``until`` waits for one."""

    async def until(self, wanted: Callable[[FilesystemEvent], bool]) -> FilesystemEvent:
        for _ in range(500):
            for event in self:
                if wanted(event):
                    return event
            await asyncio.sleep(0.02)
        raise AssertionError(f"only these came: {self}")


def is_(kind: FilesystemEventType, name: str) -> Callable[[FilesystemEvent], bool]:
    return lambda event: (event.type, event.name) == (kind, name)


async def test_each_kind_of_change_is_told_with_its_relative_name(sandbox: AsyncSandbox) -> None:
    await sandbox.files.write("watched/old.txt", "x")
    seen = Seen()
    handle: Any = await sandbox.files.watch_dir("watched", seen.append)
    await sandbox.files.write("watched/new.txt", "x")
    await seen.until(is_(FilesystemEventType.CREATE, "new.txt"))
    await seen.until(is_(FilesystemEventType.WRITE, "new.txt"))
    await sandbox.commands.run("chmod 600 watched/new.txt")
    await seen.until(is_(FilesystemEventType.CHMOD, "new.txt"))
    await sandbox.files.rename("watched/new.txt", "watched/renamed.txt")
    await seen.until(is_(FilesystemEventType.RENAME, "new.txt"))
    await seen.until(is_(FilesystemEventType.CREATE, "renamed.txt"))
    await sandbox.files.remove("watched/old.txt")
    await seen.until(is_(FilesystemEventType.REMOVE, "old.txt"))
    await handle.stop()


async def test_only_a_recursive_watch_looks_below(sandbox: AsyncSandbox) -> None:
    await sandbox.files.make_dir("w/deep/er")
    flat, deep = Seen(), Seen()
    handles: list[Any] = [
        await sandbox.files.watch_dir("w", flat.append),
        await sandbox.files.watch_dir("w", deep.append, recursive=True),
    ]
    await sandbox.files.write("w/deep/er/f", "x")
    await deep.until(is_(FilesystemEventType.WRITE, "deep/er/f"))
    # A directory that is made later is watched too, with what was put into it meanwhile.
    await sandbox.commands.run("mkdir -p w/a/b/c && echo x > w/a/b/c/g")
    await deep.until(is_(FilesystemEventType.CREATE, "a/b/c/g"))
    await deep.until(is_(FilesystemEventType.WRITE, "a/b/c/g"))
    await sandbox.files.write("w/a/b/c/h", "x")
    await deep.until(is_(FilesystemEventType.WRITE, "a/b/c/h"))
    await flat.until(is_(FilesystemEventType.CREATE, "a"))
    assert not [event for event in flat if "/" in event.name]
    for handle in handles:
        await handle.stop()


async def test_entries_come_along_when_asked_for(sandbox: AsyncSandbox) -> None:
    seen = Seen()
    handle: Any = await sandbox.files.watch_dir(".", seen.append, include_entry=True)
    await sandbox.files.write("f.txt", "four")
    whole = await seen.until(lambda event: event.entry is not None and event.entry.size == 4)
    assert whole.entry is not None
    assert whole.entry.path == "/home/user/f.txt"
    await sandbox.files.remove("f.txt")
    gone = await seen.until(is_(FilesystemEventType.REMOVE, "f.txt"))
    assert gone.entry is None
    await handle.stop()


async def test_what_is_no_directory_can_not_be_watched(sandbox: AsyncSandbox) -> None:
    await sandbox.files.write("file", "x")
    with pytest.raises(InvalidArgumentException):
        await sandbox.files.watch_dir("file", print)
    with pytest.raises((NotFoundException, SandboxException)):
        await sandbox.files.watch_dir("missing", print)


async def test_the_synchronous_sdk_polls(engine: RunningEngine, sandbox: AsyncSandbox) -> None:
    def use() -> list[FilesystemEvent]:
        box = Sandbox.connect(sandbox.sandbox_id, **engine.sdk)
        handle = box.files.watch_dir(".", recursive=True, include_entry=True)
        assert handle.get_new_events() == []
        box.files.write("a/b.txt", "four")
        box.commands.run("chmod 600 a/b.txt")
        box.files.rename("a/b.txt", "a/c.txt")
        box.files.remove("a/c.txt")
        events: list[FilesystemEvent] = []

        def told() -> bool:
            events.extend(handle.get_new_events())
            return any(event.type is FilesystemEventType.REMOVE for event in events)

        eventually_sync(told)
        handle.stop()
        with pytest.raises(SandboxException):
            handle.get_new_events()
        with pytest.raises(InvalidArgumentException):
            box.files.watch_dir(".profile")
        with pytest.raises(NotFoundException):
            box.files.watch_dir("missing")
        return events

    events = await asyncio.to_thread(use)
    assert {(event.type, event.name) for event in events} >= {
        (FilesystemEventType.CREATE, "a"),
        (FilesystemEventType.CREATE, "a/b.txt"),
        (FilesystemEventType.WRITE, "a/b.txt"),
        (FilesystemEventType.CHMOD, "a/b.txt"),
        (FilesystemEventType.RENAME, "a/b.txt"),
        (FilesystemEventType.CREATE, "a/c.txt"),
        (FilesystemEventType.REMOVE, "a/c.txt"),
    }
    assert all(event.entry is None for event in events if event.type in _GONE)
    made = next(event for event in events if event.name == "a")
    assert made.entry is not None
    assert made.entry.path == "/home/user/a"


async def test_a_watch_ends_with_its_sandbox_and_too_many_are_refused(
    sandbox: AsyncSandbox,
) -> None:
    ended: list[Any] = []
    done = asyncio.Event()

    def on_exit(error: Exception | None) -> None:
        ended.append(error)
        done.set()

    await sandbox.files.watch_dir(".", print, on_exit=on_exit)
    started = await asyncio.gather(
        *(sandbox.files.watch_dir("/tmp", print, on_exit=print) for _ in range(70)),
        return_exceptions=True,
    )
    assert any(isinstance(one, SandboxException) for one in started)
    assert (await sandbox.commands.run("echo fine")).stdout == "fine\n"
    await sandbox.kill()
    await asyncio.wait_for(done.wait(), 15)
    assert isinstance(ended[0], SandboxException)


async def test_a_storm_of_changes_costs_the_neighbours_nothing(
    engine: RunningEngine, sandbox: AsyncSandbox
) -> None:
    seen: list[FilesystemEvent] = []
    await sandbox.files.watch_dir(".", seen.append, recursive=True)
    storm = await sandbox.commands.run(
        "while true; do for n in $(seq 200); do echo > $n; done; done", background=True
    )
    neighbour = await AsyncSandbox.create(timeout=60, **engine.sdk)
    for _ in range(10):
        assert (await neighbour.commands.run("echo ok", timeout=20)).stdout == "ok\n"
    await neighbour.kill()
    await storm.kill()
    assert seen


async def test_a_directory_that_may_not_be_read_is_not_watched(sandbox: AsyncSandbox) -> None:
    await sandbox.commands.run("mkdir closed && chmod 000 closed")
    with pytest.raises(SandboxException, match="permission denied"):
        await sandbox.files.watch_dir("closed", lambda _: None)
    await sandbox.commands.run("mkdir -p open/closed && chmod 000 open/closed")
    watch = await sandbox.files.watch_dir("open", lambda _: None, recursive=True)
    await watch.stop()  # type: ignore[no-untyped-call]  # the SDK does not annotate it
