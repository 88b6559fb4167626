"""Answers of an agent that has been taken over: each that makes no sense ends its jail."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from io import FileIO
from typing import Any

import pytest

from local.sandboxes import errors
from local.sandboxes.agent import frames
from local.sandboxes.agent_link import AgentLink
from local.sandboxes.files import Files
from local.sandboxes.process import Command
from local.sandboxes.processes import Processes
from local.sandboxes.watches import Wanted, Watches
from tests.fixtures.agent_link import open_descriptors

_COMMAND = Command("true", [], {}, "", "user", stdin=True)
_WANTED = Wanted("user", "/", recursive=False, with_entries=False)


class Liar:
    """Answers every request with the same fields."""

    def __init__(self) -> None:
        ours, self._socket = socket.socketpair()
        self._socket.setblocking(False)
        self.fields: list[bytes] = []
        self.lost: list[str] = []
        self.link = AgentLink(ours, lambda _: None, self.lost.append)
        self.processes = Processes(self.link, lambda _: {})
        self.watches = Watches(self.link)
        self.files = Files(self.link)
        self._answering = asyncio.create_task(self._answer())

    async def _answer(self) -> None:
        loop, reader = asyncio.get_running_loop(), frames.Reader()
        while data := await loop.sock_recv(self._socket, 65536):
            for number, _, _, _ in reader.feed(data):
                self._socket.send(frames.frame(number, frames.OK, self.fields))

    async def close(self) -> None:
        self.processes.close("over")
        self.link.close()
        self._answering.cancel()
        await asyncio.gather(self._answering, return_exceptions=True)
        self._socket.close()


@pytest.fixture
async def liar() -> AsyncIterator[Liar]:
    made = Liar()
    yield made
    await made.close()


async def _start_apart(liar: Liar) -> object:
    with FileIO(os.devnull, "r+") as null:
        return await liar.processes.start_on(_COMMAND, (null, null, null))


_CALLS: dict[str, Callable[[Liar], Awaitable[Any]]] = {
    "start": lambda liar: liar.processes.start(_COMMAND),
    "start apart": _start_apart,
    "watch": lambda liar: liar.watches.add(_WANTED),
    "stat": lambda liar: liar.files.stat("user", "/"),
    "make": lambda liar: liar.files.make_directory("user", "/a"),
}


@pytest.mark.parametrize("fields", [[], [b"x"], [b"-7"], [b"9" * 5000], [b"1", b"2"]])
@pytest.mark.parametrize("call", _CALLS)
async def test_an_answer_without_sense_ends_the_jail(
    liar: Liar, call: str, fields: list[bytes]
) -> None:
    before, liar.fields = open_descriptors(), fields
    with pytest.raises(errors.EngineError, match="broke the protocol"):
        await _CALLS[call](liar)
    assert "protocol" in liar.lost[0]
    assert open_descriptors() == before - 1  # the link's own


async def test_a_list_of_no_entries_at_all_is_none(liar: Liar) -> None:
    liar.fields = [b"no entry"]
    with pytest.raises(errors.InternalError):
        await liar.files.list("user", "/", 1)
    assert liar.lost


@pytest.mark.parametrize("second", ["start", "start apart"])
@pytest.mark.parametrize("first", ["start", "start apart"])
async def test_a_pid_that_is_in_use_ends_the_jail(liar: Liar, first: str, second: str) -> None:
    liar.fields = [b"77"]
    await _CALLS[first](liar)
    before = open_descriptors()
    with pytest.raises(errors.InternalError):
        await _CALLS[second](liar)
    assert "two commands" in liar.lost[0]
    assert open_descriptors() < before


async def test_a_watcher_number_that_is_in_use_ends_the_jail(liar: Liar) -> None:
    liar.fields = [b"5"]
    await liar.watches.add(_WANTED)
    with pytest.raises(errors.InternalError):
        await liar.watches.add(_WANTED)
    assert "two watchers" in liar.lost[0]


async def test_the_pid_of_a_command_that_has_ended_can_come_again(liar: Liar) -> None:
    before, liar.fields = open_descriptors(), [b"77"]
    first = await liar.processes.start(_COMMAND)
    liar.processes.hear_exit(77, 0)
    second = await liar.processes.start(_COMMAND)
    assert liar.processes.find(77, None) is second is not first
    assert not liar.lost
    liar.processes.close("over")
    assert open_descriptors() == before
