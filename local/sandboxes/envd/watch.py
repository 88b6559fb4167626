"""Changes of directories as the wire's events, streamed or polled."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Literal

from e2b.envd.filesystem.filesystem_pb import EventType, FilesystemEvent, WatchDirResponse
from protobuf import Oneof

from local.sandboxes.envd.entries import message
from local.sandboxes.watches import Change, Watch

_KINDS = {
    "create": EventType.CREATE,
    "write": EventType.WRITE,
    "remove": EventType.REMOVE,
    "rename": EventType.RENAME,
    "chmod": EventType.CHMOD,
}


async def follow(
    watch: Watch, keepalive: float, deadline: float
) -> AsyncGenerator[WatchDirResponse, None]:
    """``start``, then the changes; raises TimeoutError at ``deadline`` and CutOffError."""
    reader = watch.changes.join()
    try:
        yield _start()
        while True:
            left = deadline - time.monotonic()
            try:
                async with asyncio.timeout(max(0.0, min(keepalive, left))):
                    change = await reader.get()
            except TimeoutError:
                if left <= keepalive:
                    raise
                yield _keepalive()
                continue
            yield _change(change)
    finally:
        watch.changes.leave(reader)


def event(change: Change) -> FilesystemEvent:
    """A change as the wire has it."""
    found = FilesystemEvent(name=change.path, type=_KINDS[change.kind])
    if change.entry is not None:
        found.entry = message(change.entry)
    return found


def _start() -> WatchDirResponse:
    start: Oneof[Literal["start"], WatchDirResponse.StartEvent]
    start = Oneof("start", WatchDirResponse.StartEvent())
    return WatchDirResponse(event=start)


def _keepalive() -> WatchDirResponse:
    keepalive: Oneof[Literal["keepalive"], WatchDirResponse.KeepAlive]
    keepalive = Oneof("keepalive", WatchDirResponse.KeepAlive())
    return WatchDirResponse(event=keepalive)


def _change(change: Change) -> WatchDirResponse:
    filesystem: Oneof[Literal["filesystem"], FilesystemEvent]
    filesystem = Oneof("filesystem", event(change))
    return WatchDirResponse(event=filesystem)
