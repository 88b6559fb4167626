"""Tasks are ended, also those that lose a cancellation."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from kit.tasks import ended


async def test_one_that_takes_a_cancellation_for_something_else_is_cancelled_again() -> None:
    begun = asyncio.Event()
    lost = 0

    async def deaf() -> None:
        nonlocal lost
        with suppress(asyncio.CancelledError):
            begun.set()
            await asyncio.Event().wait()
        lost += 1
        await asyncio.Event().wait()

    task = asyncio.create_task(deaf())
    await begun.wait()
    await ended([task], again=0.01)
    assert lost == 1
    assert task.cancelled()


async def test_what_came_of_them_is_nobody_s_trouble() -> None:
    async def failing() -> None:
        raise ValueError("x")

    async def quick() -> int:
        return 1

    tasks = [asyncio.create_task(failing()), asyncio.create_task(quick())]
    await ended(tasks)
    assert all(task.done() for task in tasks)


async def test_none_is_ended_at_once() -> None:
    await ended([])
