"""Locks across replicas."""

from __future__ import annotations

import asyncio

import pytest

from services.sandbox.locks import Locks
from tests.fixtures.postgres import DatabaseUrls


async def test_only_one_holds_a_name_within_and_across_processes(
    sandbox_urls: DatabaseUrls,
) -> None:
    replicas = [Locks(sandbox_urls.sandbox) for _ in range(3)]
    inside: list[int] = []
    most = 0

    async def work(locks: Locks) -> None:
        nonlocal most
        async with locks.hold("one"):
            inside.append(1)
            most = max(most, len(inside))
            await asyncio.sleep(0.001)
            inside.pop()

    await asyncio.gather(*(work(replicas[number % 3]) for number in range(30)))
    assert most == 1
    for locks in replicas:
        await locks.close()


async def test_different_names_do_not_wait_for_each_other(sandbox_urls: DatabaseUrls) -> None:
    locks = Locks(sandbox_urls.sandbox)
    async with locks.hold("one"), locks.hold("two") as second:
        assert second.held
    await locks.close()


async def test_a_lock_ends_with_the_process_that_held_it(sandbox_urls: DatabaseUrls) -> None:
    dead, living = Locks(sandbox_urls.sandbox), Locks(sandbox_urls.sandbox)
    async with dead.hold("one") as lock:
        await lock.connection.close()
        assert not lock.held
        async with asyncio.timeout(10), living.hold("one") as now:
            assert now.held
    async with dead.hold("one"):
        pass
    await dead.close()
    await living.close()


async def test_who_stops_waiting_leaves_no_lock_behind(sandbox_urls: DatabaseUrls) -> None:
    first, second = Locks(sandbox_urls.sandbox), Locks(sandbox_urls.sandbox)
    async with first.hold("one"):
        for seconds in (0.0, 0.001, 0.01, 0.05):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(seconds), second.hold("one"):
                    raise AssertionError("two hold it")
    async with asyncio.timeout(10), second.hold("one"):
        pass
    async with asyncio.timeout(10), first.hold("one"):
        pass
    await first.close()
    await second.close()
