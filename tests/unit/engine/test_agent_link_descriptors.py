"""Descriptors that come over a link: as many as were asked for, and none is left open."""

from __future__ import annotations

import asyncio
import os
import resource
import socket

import pytest

from local.sandboxes import errors
from local.sandboxes.agent import frames
from local.sandboxes.files import Files
from tests.fixtures.agent_link import Peer, link_with, open_descriptors


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
