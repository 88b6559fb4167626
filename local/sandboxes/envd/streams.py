"""A process as a stream of the wire's events, with keepalives and a deadline."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator

from e2b.envd.process.process_pb import ProcessEvent
from protobuf import Oneof

from local.sandboxes.processes import Ended, Event, Process

_KEEPALIVE_SECONDS = 90.0


def keepalive_seconds(header: str) -> float:
    """How often the caller wants to hear something; what it can't mean is the default."""
    try:
        seconds = float(header)
    except ValueError:
        return _KEEPALIVE_SECONDS
    return min(seconds, _KEEPALIVE_SECONDS) if seconds > 0 else _KEEPALIVE_SECONDS


async def follow(
    process: Process, keepalive: float, deadline: float
) -> AsyncGenerator[ProcessEvent, None]:
    """``start``, then what the process does, ``end`` the last.

    Leaving the stream early leaves the process alone. Raises TimeoutError at ``deadline`` (of
    ``time.monotonic``) and CutOffError when the sandbox goes or the caller is too slow.
    """
    reader = process.events.join()
    try:
        yield ProcessEvent(event=Oneof("start", ProcessEvent.StartEvent(pid=process.pid)))
        if process.ended is not None and not reader.behind:
            yield _message(process.ended)
            return
        while True:
            left = deadline - time.monotonic()
            try:
                async with asyncio.timeout(max(0.0, min(keepalive, left))):
                    event = await reader.get()
            except TimeoutError:
                if left <= keepalive:
                    raise
                yield ProcessEvent(event=Oneof("keepalive", ProcessEvent.KeepAlive()))
                continue
            yield _message(event)
            if isinstance(event, Ended):
                return
    finally:
        process.events.leave(reader)


def deadline_of(timeout_ms: float | None) -> float:
    """The end of a call that may take so many milliseconds more, on ``time.monotonic``."""
    return math.inf if timeout_ms is None else time.monotonic() + timeout_ms / 1000


def _message(event: Event) -> ProcessEvent:
    if isinstance(event, Ended):
        end = ProcessEvent.EndEvent(
            exit_code=event.exit_code, exited=event.exited, status=event.status
        )
        if event.error is not None:
            end.error = event.error
        return ProcessEvent(event=Oneof("end", end))
    match event.channel:
        case "stdout":
            data = ProcessEvent.DataEvent(output=Oneof("stdout", event.data))
        case "stderr":
            data = ProcessEvent.DataEvent(output=Oneof("stderr", event.data))
        case _:
            data = ProcessEvent.DataEvent(output=Oneof("pty", event.data))
    return ProcessEvent(event=Oneof("data", data))
