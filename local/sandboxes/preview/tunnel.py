"""WebSocket pass-through: after its handshake a connection is bytes, which nobody here looks at."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_LINGER_SECONDS = 10.0


class Half(asyncio.Protocol):
    """One end of a tunnel: what arrives here goes on to the other end."""

    def __init__(self, here: asyncio.Transport, on_lost: Callable[[], None]) -> None:
        self._here = here
        self._on_lost = on_lost
        self._other: asyncio.Transport

    def join(self, other: asyncio.Transport) -> None:
        """Begin to pass on."""
        self._other = other
        self._here.set_protocol(self)

    def data_received(self, data: bytes) -> None:
        self._other.write(data)

    def pause_writing(self) -> None:
        if not self._other.is_closing():
            self._other.pause_reading()

    def resume_writing(self) -> None:
        if not self._other.is_closing():
            self._other.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio's signature
        self._on_lost()
        if not self._other.is_closing():
            # What is on its way may still arrive, where somebody reads it.
            self._other.close()
            asyncio.get_running_loop().call_later(_LINGER_SECONDS, self._other.abort)

    def shutdown(self) -> None:
        """The HTTP server stops."""
        self._here.close()
