"""What tests of any part share: waiting on a condition, and free ports."""

from __future__ import annotations

import asyncio
import inspect
import secrets
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar, overload

T = TypeVar("T")


@overload
async def eventually(
    condition: Callable[[], Awaitable[T]], *, seconds: float = 30, every: float = 0.02
) -> T: ...
@overload
async def eventually(
    condition: Callable[[], T], *, seconds: float = 30, every: float = 0.02
) -> T: ...
async def eventually(
    condition: Callable[[], T | Awaitable[T | None] | None],
    *,
    seconds: float = 30,
    every: float = 0.02,
) -> T:
    """The condition's first true value; ``AssertionError`` with its last one when time is over."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        value = await found if inspect.isawaitable(found) else found
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"still {value!r} after {seconds} s")
        await asyncio.sleep(every)


def eventually_sync(
    condition: Callable[[], T | None], *, seconds: float = 30, every: float = 0.02
) -> T:
    """As ``eventually``, for tests without an event loop."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"still {value!r} after {seconds} s")
        time.sleep(every)
    return value


def free_port() -> int:
    """A port that nothing listens on now. Somebody else may take it: bind port 0 where that is possible.

    Of those that systems give to nobody by themselves, neither to a client nor for port 0, and of no well-known ones.
    """
    while True:
        port = 10_000 + secrets.randbelow(22_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
