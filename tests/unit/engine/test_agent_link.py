"""The engine's end of an agent that may have been taken over."""

from __future__ import annotations

import asyncio

import pytest

from local.sandboxes import errors
from local.sandboxes.agent import frames
from local.sandboxes.processes import Processes
from tests.fixtures.agent_link import Peer, link_with


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


async def test_a_hang_up_is_seen_before_the_loop_comes_to_it(peer: Peer) -> None:
    assert not peer.link.hung_up()
    peer.socket.close()
    assert peer.link.hung_up()


async def test_an_agent_that_never_answers_keeps_nobody_waiting() -> None:
    link, theirs = link_with(0.05)
    with pytest.raises(errors.UnavailableError, match="does not answer"):
        await link.ask("read", "f")
    link.close()
    theirs.close()
