"""Locks across replicas."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager

import pytest

from kit.errors import Unavailable
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


async def test_a_database_that_stops_answering_holds_nobody_up(
    sandbox_urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.sandbox.locks._ANSWER_SECONDS", 1)
    locks = Locks(sandbox_urls.sandbox)
    async with asyncio.timeout(30), locks.hold("one") as lock:
        with _stopped(lock.connection.get_server_pid()):
            with pytest.raises(Unavailable):
                async with locks.hold("two"):
                    raise AssertionError("nobody answered")
            # Whether it has the second lock now nobody can tell: all of them end with the connection.
            assert not lock.held
    async with asyncio.timeout(30), locks.hold("one") as lock, locks.hold("two") as two:
        assert lock.held
        assert two.held
    await locks.close()


async def test_a_lock_that_is_not_seen_to_be_released_ends_with_its_connection(
    sandbox_urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.sandbox.locks._ANSWER_SECONDS", 1)
    locks, other = Locks(sandbox_urls.sandbox), Locks(sandbox_urls.sandbox)
    async with asyncio.timeout(30), AsyncExitStack() as held:
        lock = await held.enter_async_context(locks.hold("one"))
        with _stopped(lock.connection.get_server_pid()):
            await held.aclose()
        assert not lock.held
        async with other.hold("one") as now:
            assert now.held
    await other.close()
    await locks.close()


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
