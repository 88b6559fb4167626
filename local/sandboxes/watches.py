"""The watched directories of one sandbox, seen from the engine."""

from __future__ import annotations

import contextlib
import secrets
from collections import deque
from dataclasses import dataclass, field

from local.sandboxes import errors
from local.sandboxes.agent.watching import LOST
from local.sandboxes.agent_link import AgentLink, number
from local.sandboxes.broadcast import Broadcast
from local.sandboxes.files import Entry, unpack_entry

_KINDS = frozenset(("create", "write", "remove", "rename", "chmod"))
_KEPT = 10_000  # what a poller has not fetched: older changes than these are lost
_KEPT_BYTES = 4 * 1024 * 1024  # of one sandbox, by weight
# What a change weighs in memory while a reader has not taken it, about: bare, and its entry.
_CHANGE_BYTES, _ENTRY_BYTES = 512, 2048


@dataclass(frozen=True)
class Wanted:
    """What to watch, and for whom."""

    user: str
    path: str
    recursive: bool
    with_entries: bool


@dataclass(frozen=True)
class Change:
    """One change: ``path`` is relative to the watched directory."""

    kind: str
    path: str
    entry: Entry | None


@dataclass
class Watch:
    """One watched directory: ``changes`` for who streams, ``kept`` for who polls."""

    number: int
    changes: Broadcast[Change] = field(default_factory=lambda: Broadcast(lambda _: None))
    kept: deque[tuple[Change, int]] | None = None


class Watches:
    """All of one sandbox."""

    def __init__(self, link: AgentLink) -> None:
        self._link = link
        self._by_number: dict[int, Watch] = {}
        self._polled: dict[str, Watch] = {}
        self._kept_bytes = 0

    async def add(self, wanted: Wanted) -> Watch:
        """Begin to watch; raises InvalidError for a file, NotFoundError for nothing."""
        answer = await self._link.ask(
            "watch",
            wanted.user,
            wanted.path,
            "1" if wanted.recursive else "",
            "1" if wanted.with_entries else "",
        )
        with self._link.reading():
            (named,) = answer.fields
            watch = Watch(number(named))
            if watch.number in self._by_number:
                raise ValueError("two watchers with one number")
        self._by_number[watch.number] = watch
        return watch

    async def remove(self, watch: Watch) -> None:
        """Stop watching."""
        if self._by_number.pop(watch.number, None) is not None:
            with contextlib.suppress(errors.UnavailableError):
                await self._link.ask("unwatch", str(watch.number))

    async def add_polled(self, wanted: Wanted) -> str:
        """Begin to watch and keep the changes until they are fetched; answers an id."""
        watch = await self.add(wanted)
        watch.kept = deque()
        name = secrets.token_hex(8)
        self._polled[name] = watch
        return name

    def fetch(self, name: str) -> list[Change]:
        """The changes since the last fetch; raises NotFoundError."""
        kept = self._find(name).kept or deque()
        changes = [change for change, _ in kept]
        self._kept_bytes -= sum(weight for _, weight in kept)
        kept.clear()
        return changes

    async def remove_polled(self, name: str) -> None:
        """Stop watching; raises NotFoundError."""
        watch = self._find(name)
        del self._polled[name]
        self._kept_bytes -= sum(weight for _, weight in watch.kept or ())
        await self.remove(watch)

    def _find(self, name: str) -> Watch:
        if name not in self._polled:
            raise errors.NotFoundError(f"watcher with id {name} not found")
        return self._polled[name]

    def hear(self, named: int, fields: list[bytes]) -> None:
        """The agent's word of a change; raises ValueError when it is none."""
        watch = self._by_number.get(named)
        if watch is None:
            return
        kind, path, entry = fields
        if kind == LOST:
            watch.changes.cut_off("more changed than could be told")
            return
        if kind.decode() not in _KINDS:
            raise ValueError("an unknown kind of change")
        change = Change(
            kind.decode(), path.decode("utf-8", "replace"), unpack_entry(entry) if entry else None
        )
        weight = _CHANGE_BYTES + len(path) + (_ENTRY_BYTES + len(entry) if entry else 0)
        if watch.kept is not None:
            self._keep(watch.kept, change, weight)
        watch.changes.send(change, weight)

    def _keep(self, kept: deque[tuple[Change, int]], change: Change, weight: int) -> None:
        kept.append((change, weight))
        self._kept_bytes += weight
        while kept and (len(kept) > _KEPT or self._kept_bytes > _KEPT_BYTES):
            self._kept_bytes -= kept.popleft()[1]

    def cut_off(self, why: str) -> None:
        """End every stream; what is polled stays."""
        for watch in self._by_number.values():
            watch.changes.cut_off(why)

    def close(self, why: str) -> None:
        """The sandbox is gone."""
        self.cut_off(why)
        self._by_number.clear()
        self._polled.clear()
