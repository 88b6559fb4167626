"""One source, many readers."""

from __future__ import annotations

import asyncio

import pytest

from local.sandboxes.broadcast import Broadcast, CutOffError

_MB = 1024 * 1024


def broadcast() -> tuple[Broadcast[int], list[bool]]:
    paused: list[bool] = []
    return Broadcast(paused.append), paused


async def test_every_reader_gets_what_comes_after_it_joined() -> None:
    source, _ = broadcast()
    source.send(0, 1)
    first = source.join()
    source.send(1, 1)
    second = source.join()
    source.send(2, 1)
    assert [await first.get(), await first.get()] == [1, 2]
    assert await second.get() == 2


async def test_the_source_rests_while_its_only_reader_is_behind() -> None:
    source, paused = broadcast()
    reader = source.join()
    source.send(1, _MB)
    assert paused == [True]
    await reader.get()
    assert paused == [True, False]


async def test_without_readers_the_source_runs_freely() -> None:
    source, paused = broadcast()
    source.send(1, 100 * _MB)
    assert paused == []
    reader = source.join()
    source.send(2, _MB)
    source.leave(reader)
    assert paused == [True, False]


async def test_a_stuck_reader_is_cut_off_and_the_others_go_on() -> None:
    source, paused = broadcast()
    quick, stuck = source.join(), source.join()
    for number in range(10):
        source.send(number, _MB)
        assert await quick.get() == number
    with pytest.raises(CutOffError, match="slowly"):
        await stuck.get()
    assert not paused or paused[-1] is False


async def test_cutting_off_wakes_who_waits() -> None:
    source, _ = broadcast()
    reader = source.join()
    waiting = asyncio.create_task(reader.get())
    await asyncio.sleep(0)
    source.cut_off("the sandbox is gone")
    with pytest.raises(CutOffError, match="gone"):
        await waiting
