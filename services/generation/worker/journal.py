"""What a worker writes into a generation's row and log, in order, and only while the generation is its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from kit.db import Database
from services.generation.convert import event_entry
from services.generation.model import Event, FileDelta, Job, Terminal, TextDelta, status_after
from services.generation.repository import Events

_MOST_CHARACTERS = 16_384
STALE_EPOCH = "STALE_EPOCH"
"""How the other services say that the lease is somebody else's."""
Step = Callable[[AsyncConnection], Awaitable[None]]
"""Something to be written in the same transaction."""


class LeaseLost(Exception):
    """The generation is somebody else's by now, or has ended. Nothing was written."""


class Journal:
    """Gathers deltas for a moment and writes them together; everything else is written at once, behind them."""

    def __init__(self, database: Database, job: Job, batch_seconds: float) -> None:
        """``job`` as it was claimed: its epoch fences every write."""
        self._database = database
        self._id, self._epoch = job.generation_id, job.epoch
        self._batch_seconds = batch_seconds
        self._gathered: list[tuple[Event, str]] = []
        self._timer: asyncio.Task[None] | None = None
        self._writing: set[asyncio.Task[None]] = set()
        self._lock = asyncio.Lock()
        self._failed: BaseException | None = None

    async def add(self, event: TextDelta | FileDelta, agent: str = "") -> None:
        """Takes a delta. Raises what went wrong with an earlier one."""
        if self._failed:
            raise self._failed
        self._gather(event, agent)
        if self._timer is None:
            self._timer = self._begun(asyncio.create_task(self._later()))

    async def write(
        self, *events: Event, also: Step | None = None, agent: str = "", **values: Any
    ) -> None:
        """Writes events and columns of the row now, with ``also`` in the same transaction. Raises ``LeaseLost``."""
        await self._whole(self._write([(event, agent) for event in events], also, values, None))

    async def end(self, *events: Event, last: Terminal, **values: Any) -> None:
        """Writes the last event and the state that it leaves. Raises ``LeaseLost``."""
        everything = [(event, "") for event in (*events, last)]
        await self._whole(self._write(everything, None, values, last))

    async def close(self) -> None:
        """Drops what is still gathered, and waits for what is being written."""
        if self._timer:
            self._timer.cancel()
        await asyncio.gather(*self._writing, return_exceptions=True)

    def _gather(self, event: TextDelta | FileDelta, agent: str) -> None:
        """Joins it to the same agent's last delta where it goes on with that: agents of a team take turns quickly."""
        for index in range(len(self._gathered) - 1, -1, -1):
            before, whose = self._gathered[index]
            if whose == agent:
                if merged := _merged(before, event):
                    self._gathered[index] = (merged, agent)
                    return
                break
        self._gathered.append((event, agent))

    async def _whole(self, writing: Coroutine[Any, Any, None]) -> None:
        """A caller that is cancelled leaves no transaction half done, and no delta behind."""
        await asyncio.shield(self._begun(asyncio.create_task(writing)))

    def _begun(self, task: asyncio.Task[None]) -> asyncio.Task[None]:
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
        return task

    async def _later(self) -> None:
        await asyncio.sleep(self._batch_seconds)
        self._timer = None
        try:
            await self._write([], None, {}, None)
        except Exception as exc:  # noqa: BLE001 - told to whoever adds next
            self._failed = exc

    async def _write(
        self,
        events: Sequence[tuple[Event, str]],
        also: Step | None,
        values: dict[str, Any],
        last: Terminal | None,
    ) -> None:
        async with self._lock:
            if self._failed:
                # What it would have written stands before this.
                raise self._failed
            gathered, self._gathered = self._gathered, []
            entries = [event_entry(*event) for event in (*gathered, *events)]
            async with self._database.begin() as connection:
                log = Events(connection)
                if last:
                    status = status_after(last)
                    done = await log.end(self._id, self._epoch, status, entries, **values)
                else:
                    done = await log.append(self._id, self._epoch, entries, **values)
                if done is None:
                    raise LeaseLost
                if also:
                    await also(connection)


def _merged(before: Event, event: TextDelta | FileDelta) -> Event | None:
    if isinstance(before, TextDelta) and isinstance(event, TextDelta):
        if len(before.text) < _MOST_CHARACTERS:
            return TextDelta(before.text + event.text)
    elif isinstance(before, FileDelta) and isinstance(event, FileDelta):
        follows = before.path == event.path and before.offset + len(before.text) == event.offset
        if follows and len(before.text) < _MOST_CHARACTERS:
            return FileDelta(before.path, before.text + event.text, before.offset)
    return None
