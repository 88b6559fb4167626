"""Calls to peers that may be repeated: a service that restarts must not fail a generation."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from kit.errors import Cancelled, DeadlineExceeded, Unavailable

_log = structlog.get_logger(__name__)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
# A server that is stopped ends its calls as cancelled; our own cancellation is another exception.
PASSING = (Unavailable, DeadlineExceeded, Cancelled)
T = TypeVar("T")


async def patiently(call: Callable[[], Awaitable[T]], seconds: float) -> T:
    """The call's answer, asked again for so long while the peer is out of reach. Raises its last error."""
    end = time.monotonic() + seconds
    pause = _FIRST_PAUSE
    while True:
        try:
            return await call()
        except PASSING as exc:
            wait = max(pause, exc.retry_after or 0)
            if time.monotonic() + wait > end:
                raise
            _log.info("peer out of reach, asking again", reason=exc.reason, seconds=wait)
            await asyncio.sleep(wait)
            pause = min(pause * 2, _LONGEST_PAUSE)
