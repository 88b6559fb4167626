"""A peer that is out of reach is asked again; one that says no is not."""

from __future__ import annotations

import pytest

from kit.errors import Cancelled, DeadlineExceeded, Invalid, ServiceError, Unavailable
from services.generation.worker.patience import patiently


class Peer:
    """Raises what it is told to, then answers."""

    def __init__(self, *errors: ServiceError) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def call(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


async def test_a_peer_that_comes_back_is_asked_until_it_answers() -> None:
    peer = Peer(Unavailable("x"), DeadlineExceeded("x"), Cancelled("x"))
    assert await patiently(peer.call, 30) == "answer"
    assert peer.calls == 4


async def test_a_no_is_passed_on_at_once() -> None:
    peer = Peer(Invalid("x"))
    with pytest.raises(Invalid):
        await patiently(peer.call, 30)
    assert peer.calls == 1


async def test_patience_has_an_end() -> None:
    peer = Peer(*[Unavailable("x") for _ in range(100)])
    with pytest.raises(Unavailable):
        await patiently(peer.call, 0.3)
    assert 1 < peer.calls < 10


async def test_a_peer_that_asks_for_more_time_than_there_is_is_not_waited_for() -> None:
    peer = Peer(Unavailable("x", retry_after=60))
    with pytest.raises(Unavailable):
        await patiently(peer.call, 1)
    assert peer.calls == 1
