"""The engine's end of an agent that may have been taken over."""

from __future__ import annotations

import array
import asyncio
import contextlib
import os
import resource
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from local.sandboxes import errors
from local.sandboxes.agent import frames
from local.sandboxes.agent_link import AgentLink
from local.sandboxes.files import Files
from local.sandboxes.processes import Processes


class Peer:
    """An agent that says whatever a test wants."""

    def __init__(self) -> None:
        ours, self.socket = socket.socketpair()
        self.events: list[list[bytes]] = []
        self.hears: Callable[[list[bytes]], None] = lambda _: None
        self._event = asyncio.Event()
        self.lost = asyncio.Event()
        self.why = ""
        self.link = AgentLink(ours, self._on_event, self._on_lost)

    def _on_event(self, fields: list[bytes]) -> None:
        self.events.append(fields)
        self._event.set()
        self.hears(fields)

    async def heard(self, count: int) -> None:
        """Wait for so many events in all."""
        while len(self.events) < count:
            self._event.clear()
            await asyncio.wait_for(self._event.wait(), 10)

    def _on_lost(self, why: str) -> None:
        self.why = why
        self.lost.set()

    async def asked(self) -> tuple[int, list[bytes]]:
        """The next request."""
        loop = asyncio.get_running_loop()
        self.socket.setblocking(False)
        ((number, kind, _, fields),) = frames.Reader().feed(
            await loop.sock_recv(self.socket, 65536)
        )
        assert kind == frames.REQUEST
        return number, fields

    def say(self, data: bytes, descriptors: list[int] | None = None) -> None:
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors or []))
        self.socket.sendmsg([data], [rights] if descriptors else [])


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    made = Peer()
    yield made
    made.link.close()
    made.socket.close()


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_an_answer_and_its_parts_come_back_together(peer: Peer) -> None:
    asking = asyncio.create_task(peer.link.ask("list", "a"))
    number, fields = await peer.asked()
    assert fields == [b"list", b"a"]
    peer.say(frames.frame(number, frames.MORE, [b"1", b"2"]))
    peer.say(frames.frame(number, frames.OK, [b"3"]))
    assert (await asking).fields == [b"1", b"2", b"3"]


async def test_an_error_is_one_of_the_engines_own(peer: Peer) -> None:
    asking = asyncio.create_task(peer.link.ask("stat"))
    number, _ = await peer.asked()
    peer.say(frames.frame(number, frames.ERROR, [b"not_found", b"no such thing"]))
    with pytest.raises(errors.NotFoundError, match="no such thing"):
        await asking
    asking = asyncio.create_task(peer.link.ask("stat"))
    number, _ = await peer.asked()
    peer.say(frames.frame(number, frames.ERROR, [b"made up", b"\xff"]))
    with pytest.raises(errors.InternalError):
        await asking


@pytest.mark.parametrize(
    "said",
    [
        b"\xff" * 100,
        frames.frame(7, frames.OK, [b"nobody asked"]),
        frames.frame(7, 200, []),
        frames.frame(0, frames.REQUEST, []),
    ],
)
async def test_what_breaks_the_protocol_ends_the_jail(peer: Peer, said: bytes) -> None:
    asking = asyncio.create_task(peer.link.ask("stat"))
    await peer.asked()
    peer.say(said)
    await asyncio.wait_for(peer.lost.wait(), 10)
    assert "protocol" in peer.why
    with pytest.raises(errors.UnavailableError):
        await asking
    with pytest.raises(errors.UnavailableError):
        await peer.link.ask("stat")


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (frames.ERROR, []),
        (frames.ERROR, [b"not_found"]),
        (frames.ERROR, [b"not_found", b"no such thing", b"and more"]),
        (frames.REQUEST, [b"not_found", b"no such thing"]),
        (200, [b"not_found", b"no such thing"]),
    ],
)
async def test_who_is_answered_what_is_no_answer_hears_at_once(
    peer: Peer, kind: int, fields: list[bytes]
) -> None:
    asking = asyncio.create_task(peer.link.ask("stat"))
    number, _ = await peer.asked()
    peer.say(frames.frame(number, kind, fields))
    with pytest.raises(errors.UnavailableError, match="has ended"):
        await asyncio.wait_for(asking, 10)
    assert "protocol" in peer.why


@pytest.mark.parametrize("status", [b"9" * 30, b"-1", b"127", b"x", b""])
async def test_an_end_that_is_none_ends_the_jail(peer: Peer, status: bytes) -> None:
    processes = Processes(peer.link, lambda _: {})
    peer.hears = lambda fields: processes.hear_exit(int(fields[1]), int(fields[2]))
    unhandled: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: unhandled.append(what))
    peer.say(frames.frame(0, frames.EVENT, [b"exit", b"7", status]))
    await asyncio.wait_for(peer.lost.wait(), 10)
    assert "protocol" in peer.why
    assert unhandled == []


async def test_nothing_is_heard_of_a_link_after_its_end(peer: Peer) -> None:
    peer.hears = lambda _: peer.link.close()
    peer.say(frames.frame(0, frames.EVENT, [b"ready"]) * 3)
    await peer.heard(1)
    await asyncio.sleep(0)
    assert len(peer.events) == 1


async def test_descriptors_that_nobody_asked_for_are_closed(peer: Peer) -> None:
    before = open_descriptors()
    peer.say(frames.frame(0, frames.EVENT, [b"ready"], 2), [0, 0])
    await peer.heard(1)
    assert open_descriptors() == before
    asking = asyncio.create_task(peer.link.ask("read", takes=1))
    number, _ = await peer.asked()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    peer.say(frames.frame(number, frames.OK, [], 1), [0])
    peer.say(frames.frame(0, frames.EVENT, [b"after"]))
    await peer.heard(2)
    assert open_descriptors() == before
    for _ in range(5):
        peer.say(frames.frame(0, frames.EVENT, [])[:1], [0] * 4)
    await asyncio.wait_for(peer.lost.wait(), 10)
    assert open_descriptors() < before


@pytest.mark.parametrize(("takes", "given"), [(0, 1), (0, 4), (1, 0), (1, 2)])
async def test_an_answer_with_too_many_descriptors_or_too_few_ends_the_jail(
    peer: Peer, takes: int, given: int
) -> None:
    null = os.open("/dev/null", os.O_RDONLY)
    before = open_descriptors()
    asking = asyncio.create_task(peer.link.ask("remove", "f", takes=takes))
    number, _ = await peer.asked()
    peer.say(frames.frame(number, frames.OK, [], given), [null] * given)
    with pytest.raises(errors.UnavailableError, match="has ended"):
        await asyncio.wait_for(asking, 10)
    assert "too many descriptors, or too few" in peer.why
    assert open_descriptors() == before - 1, "only the link's own socket is closed"
    os.close(null)


async def test_that_the_engine_has_no_descriptor_left_is_not_the_jails_fault(peer: Peer) -> None:
    null = os.open("/dev/null", os.O_RDONLY)
    asking = asyncio.create_task(peer.link.ask("read", "f", takes=1))
    number, _ = await peer.asked()
    peer.say(frames.frame(number, frames.OK, [b"f"], 1), [null])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(errors.ExhaustedError, match="no descriptor left"):
            await asking
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    asking = asyncio.create_task(peer.link.ask("read", "f", takes=1))
    number, _ = await peer.asked()
    peer.say(frames.frame(number, frames.OK, [b"f"], 1), [null])
    (descriptor,) = (await asking).descriptors
    os.close(descriptor)
    os.close(null)


async def test_a_file_that_is_none_is_refused_and_closed(peer: Peer) -> None:
    read, write = os.pipe()
    before = open_descriptors()

    async def open_it() -> None:
        async with Files(peer.link).reading("user", "f"):
            raise AssertionError("a pipe passed for a file")

    opening = asyncio.create_task(open_it())
    number, _ = await peer.asked()
    peer.say(frames.frame(number, frames.OK, [b"/f", b"0", b"0"], 1), [read])
    with pytest.raises(errors.InternalError):
        await opening
    assert open_descriptors() == before
    os.close(read)
    os.close(write)


async def test_a_request_larger_than_the_socket_waits_for_room(peer: Peer) -> None:
    asking = asyncio.create_task(peer.link.ask("start", b"x" * 3_000_000))
    loop = asyncio.get_running_loop()
    peer.socket.setblocking(False)
    reader = frames.Reader()
    got: list[tuple[int, int, int, list[bytes]]] = []
    while not got:
        await asyncio.sleep(0)
        got = reader.feed(await loop.sock_recv(peer.socket, 65536))
    assert got[0][3] == [b"start", b"x" * 3_000_000]
    peer.say(frames.frame(got[0][0], frames.OK, []))
    await asking
    with pytest.raises(errors.InvalidError, match="too large"):
        await peer.link.ask("start", bytes(frames.MAX_BODY + 1))


async def test_a_hang_up_is_seen_before_the_loop_comes_to_it(peer: Peer) -> None:
    assert not peer.link.hung_up()
    peer.socket.close()
    assert peer.link.hung_up()


def link_with(answer_seconds: float) -> tuple[AgentLink, socket.socket]:
    """A link of that patience, and its agent's end."""
    ours, theirs = socket.socketpair()
    return AgentLink(ours, lambda _: None, lambda _: None, answer_seconds), theirs


async def test_an_agent_that_never_answers_keeps_nobody_waiting() -> None:
    link, theirs = link_with(0.05)
    with pytest.raises(errors.UnavailableError, match="does not answer"):
        await link.ask("read", "f")
    link.close()
    theirs.close()


async def test_an_answer_that_comes_too_late_leaves_no_descriptor() -> None:
    link, theirs = link_with(0.05)
    with pytest.raises(errors.UnavailableError, match="does not answer"):
        await link.ask("read", "f", takes=1)
    before = open_descriptors()
    null = os.open("/dev/null", os.O_RDONLY)
    socket.send_fds(theirs, [frames.frame(1, frames.OK, [], 1)], [null])
    os.close(null)
    asking = asyncio.ensure_future(link.ask("read", "g"))
    theirs.sendall(frames.frame(2, frames.OK, [b"seen"]))
    assert (await asking).fields == [b"seen"]
    assert open_descriptors() == before
    link.close()
    theirs.close()


async def test_requests_do_not_pile_up_at_an_agent_that_does_not_answer(peer: Peer) -> None:
    before = open_descriptors()
    null = os.open("/dev/null", os.O_RDONLY)
    asking = [asyncio.ensure_future(peer.link.ask("start", give=[null])) for _ in range(512)]
    await asyncio.sleep(0)
    with pytest.raises(errors.ExhaustedError, match="512 requests"):
        await peer.link.ask("start", give=[null])
    peer.link.close()
    for one in asking:
        with pytest.raises(errors.UnavailableError):
            await one
    os.close(null)
    peer.socket.close()
    assert open_descriptors() <= before


async def test_an_answer_without_end_is_dropped_and_the_link_goes_on(peer: Peer) -> None:
    asking = asyncio.ensure_future(peer.link.ask("list"))
    number, _ = await peer.asked()
    peer.socket.setblocking(True)
    part = frames.frame(number, frames.MORE, [bytes(64 * 1024)] * 8)
    for _ in range(40):
        await asyncio.to_thread(peer.socket.sendall, part)
    with pytest.raises(errors.ExhaustedError, match="larger"):
        await asking
    await asyncio.to_thread(peer.socket.sendall, frames.frame(number, frames.OK, []))
    asking = asyncio.ensure_future(peer.link.ask("stat"))
    number, _ = await peer.asked()
    peer.say(frames.frame(number, frames.OK, [b"fine"]))
    assert (await asking).fields == [b"fine"]


async def test_an_answer_of_empty_fields_without_end_is_too_large_as_well(peer: Peer) -> None:
    asking = asyncio.ensure_future(peer.link.ask("list"))
    number, _ = await peer.asked()
    peer.socket.setblocking(True)
    part = frames.frame(number, frames.MORE, [b""] * 16384)
    for _ in range(17):  # of 64 kB, which count for 1 MB
        await asyncio.to_thread(peer.socket.sendall, part)
    with pytest.raises(errors.ExhaustedError, match="larger"):
        await asyncio.wait_for(asking, 10)
    assert not peer.lost.is_set()


async def test_answers_that_are_never_whole_share_one_budget(peer: Peer) -> None:
    part = [bytes(64 * 1024)] * 15
    asking = []
    for _ in range(8):
        asking.append(asyncio.ensure_future(peer.link.ask("list")))
        number, _ = await peer.asked()
        peer.socket.setblocking(True)
        for _ in range(6):
            data = frames.frame(number, frames.MORE, part)
            await asyncio.to_thread(peer.socket.sendall, data)
    done, waiting = await asyncio.wait(asking, timeout=10, return_when=asyncio.FIRST_COMPLETED)
    for one in done:
        with pytest.raises(errors.ExhaustedError, match="under way"):
            await one
    assert waiting, "what fits stays"
    for one in waiting:  # who gives up gives its share back
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    last = asyncio.ensure_future(peer.link.ask("list"))
    number, _ = await peer.asked()
    peer.socket.setblocking(True)
    for kind in (frames.MORE, frames.MORE, frames.OK):
        await asyncio.to_thread(peer.socket.sendall, frames.frame(number, kind, part))
    assert len((await asyncio.wait_for(last, 10)).fields) == 45


async def test_requests_that_the_agent_does_not_read_share_one_budget(peer: Peer) -> None:
    asking = [
        asyncio.ensure_future(peer.link.ask("start", bytes(7 * 1024 * 1024))) for _ in range(8)
    ]
    done, waiting = await asyncio.wait(asking, timeout=10, return_when=asyncio.FIRST_COMPLETED)
    assert len(waiting) == 4
    for one in done:
        with pytest.raises(errors.ExhaustedError, match="wait to be read"):
            await one
    peer.link.close()
    for one in waiting:
        with pytest.raises(errors.UnavailableError):
            await one


@pytest.mark.parametrize(
    "data",
    [
        frames.frame(0, frames.EVENT, [bytes(2 * 1024 * 1024)]),
        frames.frame(0, frames.EVENT, [b""] * 100_000),
    ],
    ids=["too many bytes", "too many fields"],
)
async def test_a_frame_that_would_keep_the_engine_busy_ends_the_link(
    peer: Peer, data: bytes
) -> None:
    sending = asyncio.ensure_future(asyncio.to_thread(peer.socket.sendall, data))
    await asyncio.wait_for(peer.lost.wait(), 10)
    assert "protocol" in peer.why
    assert peer.events == []
    with contextlib.suppress(OSError):
        await sending


async def test_an_answer_that_comes_in_the_turn_of_giving_up_leaves_no_descriptor(
    peer: Peer,
) -> None:
    asking = asyncio.ensure_future(peer.link.ask("dial", "80", takes=1))
    number, _ = await peer.asked()
    null = os.open("/dev/null", os.O_RDONLY)
    before = open_descriptors()
    given_up = asyncio.Event()
    loop = asyncio.get_running_loop()

    def watch() -> None:
        """Cancel after the link has taken the answer and before its asker goes on."""
        waiting = peer.link._waiting.get(number)
        if waiting is None:
            asking.cancel()
            given_up.set()
        else:
            waiting.future.get_loop().call_soon(watch)

    loop.call_soon(watch)
    peer.say(frames.frame(number, frames.OK, [], 1), [null])
    await asyncio.wait_for(given_up.wait(), 10)
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert open_descriptors() == before
    os.close(null)
