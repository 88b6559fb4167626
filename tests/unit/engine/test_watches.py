"""What the engine keeps for who polls a watched directory, and how much of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import cast

from local.sandboxes.agent_link import AgentLink, Answer
from local.sandboxes.watches import Wanted, Watches

_MIB = 1024 * 1024


class Numbering:
    """An agent that numbers watchers."""

    def __init__(self) -> None:
        self._number = 0

    async def ask(self, *_: object) -> Answer:
        self._number += 1
        return Answer([b"%d" % self._number])

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        yield


async def test_what_nobody_fetches_is_bounded_by_its_weight_over_all_watchers() -> None:
    watches = Watches(cast("AgentLink", Numbering()))
    names = [await watches.add_polled(Wanted("user", "/x", False, False)) for _ in range(4)]
    path = b"p" * 3900
    for round_ in range(3):
        for number in range(1, 5):
            for _ in range(2000):
                watches.hear(number, [b"create", path, b""])
        watches.hear(4, [b"create", b"last-%d" % round_, b""])
        fetched = [watches.fetch(name) for name in names]
        weight = sum(len(change.path) for changes in fetched for change in changes)
        assert _MIB < weight < 5 * _MIB
        assert fetched[3][-1].path == f"last-{round_}", "the newest is kept"
        assert [watches.fetch(name) for name in names] == [[], [], [], []]


async def test_a_watcher_that_is_removed_gives_back_its_share() -> None:
    watches = Watches(cast("AgentLink", Numbering()))
    for _ in range(3):
        name = await watches.add_polled(Wanted("user", "/x", False, False))
        number = int(watches._polled[name].number)
        for _ in range(2000):
            watches.hear(number, [b"create", b"p" * 3900, b""])
        await watches.remove_polled(name)
    name = await watches.add_polled(Wanted("user", "/x", False, False))
    watches.hear(watches._polled[name].number, [b"create", b"one", b""])
    assert [change.path for change in watches.fetch(name)] == ["one"]
