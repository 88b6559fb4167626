"""One stream of events to many readers, of which a slow one stalls nobody else."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

# The source rests while even the fastest reader is this far behind (bytes)…
_REST = 256 * 1024
# …and a reader that falls this far behind the fastest is cut off.
_CUT = 4 * 1024 * 1024


class CutOffError(Exception):
    """This reader was too slow, or the source was taken away."""


class Reader(Generic[T]):
    """One reader's queue; iterate with ``get``."""

    def __init__(self, room: Callable[[], None]) -> None:
        self._queue: deque[tuple[T, int]] = deque()
        self._event = asyncio.Event()
        self._room = room
        self.behind = 0
        self.cut: str | None = None

    def put(self, item: T, size: int) -> None:
        self._queue.append((item, size))
        self.behind += size
        self._event.set()

    def cut_off(self, why: str) -> None:
        """Drop what is queued; the reader's next ``get`` fails."""
        self.cut = why
        self._queue.clear()
        self.behind = 0
        self._event.set()

    async def get(self) -> T:
        """The next item; raises CutOffError when there will be none."""
        while not self._queue:
            if self.cut is not None:
                raise CutOffError(self.cut)
            self._event.clear()
            await self._event.wait()
        item, size = self._queue.popleft()
        self.behind -= size
        self._room()
        return item


class Broadcast(Generic[T]):
    """``paused`` is called with True when the source should rest, with False when it may go on."""

    def __init__(self, paused: Callable[[bool], None]) -> None:
        self._paused = paused
        self._resting = False
        self._readers: list[Reader[T]] = []

    def join(self) -> Reader[T]:
        """A reader of all that comes from now on."""
        reader: Reader[T] = Reader(self._balance)
        self._readers.append(reader)
        return reader

    def leave(self, reader: Reader[T]) -> None:
        """Without readers the source runs freely and its items are dropped."""
        if reader in self._readers:
            self._readers.remove(reader)
            self._balance()

    def send(self, item: T, size: int) -> None:
        """Queue an item of ``size`` bytes for everybody."""
        for reader in self._readers:
            reader.put(item, size)
        for reader in [one for one in self._readers if one.behind > _CUT]:
            self._readers.remove(reader)
            reader.cut_off("this stream was read too slowly")
        self._balance()

    def cut_off(self, why: str) -> None:
        """End every reader's stream at once."""
        readers, self._readers = self._readers, []
        for reader in readers:
            reader.cut_off(why)
        self._balance()

    def _balance(self) -> None:
        rest = bool(self._readers) and min(one.behind for one in self._readers) > _REST
        if rest != self._resting:
            self._resting = rest
            self._paused(rest)
