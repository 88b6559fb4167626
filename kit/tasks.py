"""Ending tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

_AGAIN_SECONDS = 5.0


async def ended(tasks: Iterable[asyncio.Task[Any]], again: float = _AGAIN_SECONDS) -> None:
    """Cancels tasks and returns when all are over, whatever came of them.

    A task that goes on is cancelled ``again`` after so many seconds: a library may take a cancellation for a fault of
    its connection, whose handling then goes on as if nobody had wanted to end it.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        done, left = await asyncio.wait(left, timeout=again)
        for task in done:
            # Looked at, so that nobody complains that it never was.
            if not task.cancelled():
                task.exception()
