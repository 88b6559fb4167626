"""How much the engine takes of an agent, and keeps for it."""

from __future__ import annotations

import asyncio
import contextlib
import os

import pytest

from local.sandboxes import errors
from local.sandboxes.agent import frames
from tests.fixtures.agent_link import Peer, open_descriptors


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
