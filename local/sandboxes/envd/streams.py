"""A process as a stream of the wire's events, with keepalives and a deadline."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator
from typing import Literal

from e2b.envd.process.process_pb import ProcessEvent
from protobuf import Oneof

from local.sandboxes.process import Ended, Event, Output, Process

_KEEPALIVE_SECONDS = 90.0
_MOST_OFTEN = 1.0


def keepalive_seconds(header: str) -> float:
    """How often the caller wants to hear something; what it can't mean is the default."""
    try:
        seconds = float(header)
    except ValueError:
        return _KEEPALIVE_SECONDS
    if not seconds > 0:
        return _KEEPALIVE_SECONDS
    return max(_MOST_OFTEN, min(seconds, _KEEPALIVE_SECONDS))


async def follow(
    process: Process, keepalive: float, deadline: float
) -> AsyncGenerator[ProcessEvent, None]:
    """``start``, then what the process does, ``end`` the last.

    Leaving the stream early leaves the process alone. Raises TimeoutError at ``deadline`` (of
    ``time.monotonic``) and CutOffError when the sandbox goes or the caller is too slow.
    """
    reader = process.events.join()
    try:
        yield _start(process.pid)
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
                yield _keepalive()
                continue
            yield _message(event)
            if isinstance(event, Ended):
                return
    finally:
        process.events.leave(reader)


def deadline_of(timeout_ms: float | None) -> float:
    """The end of a call that may take so many milliseconds more, on ``time.monotonic``."""
    return math.inf if timeout_ms is None else time.monotonic() + timeout_ms / 1000


def _start(pid: int) -> ProcessEvent:
    start: Oneof[Literal["start"], ProcessEvent.StartEvent]
    start = Oneof("start", ProcessEvent.StartEvent(pid=pid))
    return ProcessEvent(event=start)


def _keepalive() -> ProcessEvent:
    keepalive: Oneof[Literal["keepalive"], ProcessEvent.KeepAlive]
    keepalive = Oneof("keepalive", ProcessEvent.KeepAlive())
    return ProcessEvent(event=keepalive)


def _message(event: Event) -> ProcessEvent:
    return _end(event) if isinstance(event, Ended) else _data(event)


def _end(ended: Ended) -> ProcessEvent:
    message = ProcessEvent.EndEvent(
        exit_code=ended.exit_code, exited=ended.exited, status=ended.status
    )
    if ended.error is not None:
        message.error = ended.error
    end: Oneof[Literal["end"], ProcessEvent.EndEvent] = Oneof("end", message)
    return ProcessEvent(event=end)


def _data(output: Output) -> ProcessEvent:
    channel: (
        Oneof[Literal["stdout"], bytes]
        | Oneof[Literal["stderr"], bytes]
        | Oneof[Literal["pty"], bytes]
    )
    match output.channel:
        case "stdout":
            channel = Oneof[Literal["stdout"], bytes]("stdout", output.data)
        case "stderr":
            channel = Oneof[Literal["stderr"], bytes]("stderr", output.data)
        case _:
            channel = Oneof[Literal["pty"], bytes]("pty", output.data)
    data: Oneof[Literal["data"], ProcessEvent.DataEvent]
    data = Oneof("data", ProcessEvent.DataEvent(output=channel))
    return ProcessEvent(event=data)
