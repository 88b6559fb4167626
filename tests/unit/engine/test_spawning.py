"""The engine's end of the spawner: what happens when one of the two is short of something."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from local.sandboxes import errors
from local.sandboxes.jail import Jailer
from local.sandboxes.spawner.server import MESSAGE_BYTES
from local.sandboxes.spawning import Spawning, Uids

_MANY = 2_000  # more messages than any socket holds


class Spawner:
    """The other end, which reads when a test says so."""

    def __init__(self) -> None:
        ours, self.socket = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self.socket.setblocking(False)
        process = subprocess.Popen([sys.executable, "-c", ""])
        self.spawning = Spawning(process, ours)

    async def hear(self, count: int) -> list[dict[str, Any]]:
        """The next messages."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(20):
            return [json.loads(await loop.sock_recv(self.socket, 4096)) for _ in range(count)]


@pytest.fixture
async def spawner() -> AsyncIterator[Spawner]:
    made = Spawner()
    yield made
    made.socket.close()
    await made.spawning.close()


async def test_a_spawner_that_is_busy_hears_of_every_end(spawner: Spawner) -> None:
    for pid in range(_MANY):
        spawner.spawning.end(pid)
    heard = await spawner.hear(_MANY)
    assert heard == [{"do": "end", "pid": pid} for pid in range(_MANY)]


async def test_a_jail_is_asked_for_behind_a_thousand_ends(spawner: Spawner) -> None:
    for pid in range(_MANY):
        spawner.spawning.end(pid)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        starting = asyncio.ensure_future(spawner.spawning.start("one", 7, theirs, lambda _: None))
        await spawner.hear(_MANY)
        data, (given,), _, _ = await asyncio.to_thread(_receive, spawner.socket)
        os.close(given)
        assert json.loads(data) == {"do": "start", "sandbox": "one", "uid": 7}
        spawner.spawning._hear({"started": "one", "pid": 99})
        assert await starting == 99


def _receive(sock: socket.socket) -> tuple[bytes, list[int], int, Any]:
    sock.setblocking(True)
    return socket.recv_fds(sock, MESSAGE_BYTES, 1)


async def test_what_waits_for_a_spawner_that_ends_fails_and_holds_nothing(
    spawner: Spawner,
) -> None:
    for pid in range(_MANY):
        spawner.spawning.end(pid)
    ours, theirs = socket.socketpair()
    before, ended = open_descriptors(), list[str]()
    with ours, theirs:
        starting = asyncio.ensure_future(spawner.spawning.start("one", 7, theirs, ended.append))
        await asyncio.sleep(0)
        spawner.socket.close()
        with pytest.raises(errors.UnavailableError):
            async with asyncio.timeout(20):
                await starting
        with pytest.raises(errors.UnavailableError):
            await spawner.spawning.start("two", 8, theirs, ended.append)
        assert ended == ["the spawner ended"] * 2
        assert open_descriptors() <= before
    assert spawner.spawning.lost


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("missing", ["socketpair", "dup"])
async def test_a_start_without_a_descriptor_left_gives_its_uid_back(
    spawner: Spawner, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    def fails(*_: object) -> None:
        raise OSError(24, "Too many open files")

    uids = Uids(70_000, 1)
    jailer = Jailer(spawner.spawning, uids, 5)
    with monkeypatch.context() as patch:
        patch.setattr(socket if missing == "socketpair" else os, missing, fails)
        with pytest.raises(errors.UnavailableError, match="did not start"):
            await jailer.boot("one")
    assert uids.take() == 70_000
    assert not spawner.spawning._ended
