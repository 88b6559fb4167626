"""What a command has written and its caller has not read: little, in order, and joined to few pieces."""

from __future__ import annotations

import asyncio
import time

from services.sandbox.commands import Channel, Output

_JOINED_SECONDS = 0.05
_PIECE_CHARACTERS = 32 * 1024
_FULL_BYTES = 256 * 1024


class Outbox:
    """Between a command, which waits while its caller does not read, and its caller."""

    def __init__(self, limit: int) -> None:
        """``limit``: bytes of UTF-8 that are kept, of both channels together; the rest is left out."""
        self._left = limit
        self._waiting: dict[Channel, list[str]] = {}
        self._bytes = 0
        self._told = 0.0
        self._ended = False
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self.truncated = False

    async def put(self, channel: Channel, text: str) -> None:
        """Takes a piece; returns when there is room for the next one."""
        kept = self._within_limit(text)
        if kept and not self._ended:
            self._waiting.setdefault(channel, []).append(kept.decode())
            self._bytes += len(kept)
            self._changed.set()
        if self._bytes >= _FULL_BYTES:
            self._room.clear()
            await self._room.wait()

    def end(self) -> None:
        """Nothing more comes."""
        self._ended = True
        self._changed.set()
        self._room.set()

    async def take(self) -> list[Output]:
        """What has come, as soon as there is some, but not more often than makes sense. Empty: it has ended."""
        while not self._bytes and not self._ended:
            await self._change(None)
        while (left := self._told + _JOINED_SECONDS - time.monotonic()) > 0:
            if self._ended or self._bytes >= _PIECE_CHARACTERS:
                break
            await self._change(left)
        taken = [
            Output(channel, piece)
            for channel, parts in self._waiting.items()
            for piece in _pieces("".join(parts))
        ]
        self._waiting.clear()
        self._bytes = 0
        self._told = time.monotonic()
        self._room.set()
        return taken

    async def _change(self, seconds: float | None) -> None:
        self._changed.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return

    def _within_limit(self, text: str) -> bytes:
        # A lone surrogate can't be sent; the vendor's SDK makes none, its replacement does no harm.
        data = text.encode("utf-8", "replace")
        if len(data) > self._left:
            self.truncated = True
            data = data[: self._left].decode("utf-8", "ignore").encode()
            self._left = 0
            return data
        self._left -= len(data)
        return data


def _pieces(text: str) -> list[str]:
    return [text[at : at + _PIECE_CHARACTERS] for at in range(0, len(text), _PIECE_CHARACTERS)]
