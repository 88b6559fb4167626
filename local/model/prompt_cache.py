"""The prompt cache: which beginning of a request was seen before, counted in tokens."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import orjson
from pydantic import BaseModel

from local.model import tokens
from local.model.model import Usage
from local.model.wire import CacheControl, CountBody

MIN_TOKENS = 512
# A breakpoint looks back over this many blocks for an entry, as the vendor's does.
LOOKBACK = 20
MAX_ENTRIES = 20_000
LIFETIMES = {"5m": 300.0, "1h": 3600.0}


@dataclass(frozen=True, slots=True)
class _Position:
    """The end of one block: hash and tokens of everything up to it."""

    digest: bytes
    tokens: int
    mark: CacheControl | None


@dataclass(slots=True)
class _Entry:
    expires: float
    lifetime: float


class PromptCache:
    """Hashes of prefixes, for as long as the process lives and their lifetime lasts."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()

    def use(self, body: CountBody) -> Usage:
        """What `body` costs now; remembers its breakpoints and refreshes what it read."""
        positions = _positions(body)
        total = positions[-1].tokens
        marks = [
            index
            for index, position in enumerate(positions)
            if position.mark is not None and position.tokens >= MIN_TOKENS
        ]
        read = self._read(positions, marks)
        written = self._write(positions, marks, read)
        last = positions[marks[-1]].tokens if marks else 0
        return Usage(
            input_tokens=total - max(last, read),
            cache_creation_5m=written["5m"],
            cache_creation_1h=written["1h"],
            cache_read=read,
        )

    def _read(self, positions: list[_Position], marks: list[int]) -> int:
        """Tokens of the longest prefix that an entry holds."""
        now = self._clock()
        for mark in reversed(marks):
            for index in range(mark, max(-1, mark - LOOKBACK), -1):
                entry = self._entries.get(positions[index].digest)
                if entry is not None and entry.expires > now:
                    entry.expires = now + entry.lifetime
                    return positions[index].tokens
        return 0

    def _write(self, positions: list[_Position], marks: list[int], read: int) -> dict[str, int]:
        """Tokens written for each lifetime: what lies between `read` and each breakpoint."""
        written = {"5m": 0, "1h": 0}
        done = read
        for index in marks:
            position = positions[index]
            if position.mark is None or position.tokens <= done:
                continue
            written[position.mark.ttl] += position.tokens - done
            done = position.tokens
            self._remember(position.digest, LIFETIMES[position.mark.ttl])
        return written

    def _remember(self, digest: bytes, lifetime: float) -> None:
        self._entries[digest] = _Entry(self._clock() + lifetime, lifetime)
        self._entries.move_to_end(digest)
        while len(self._entries) > MAX_ENTRIES:
            self._entries.popitem(last=False)


def count(body: CountBody) -> int:
    """Input tokens of `body`, cached or not."""
    return _positions(body)[-1].tokens


def _positions(body: CountBody) -> list[_Position]:
    """The end of each block in the order tools, system, messages."""
    running = hashlib.sha256(body.model.encode())
    total = 0
    positions: list[_Position] = []
    groups: list[tuple[str, Sequence[BaseModel]]] = [("tools", body.tools), ("system", body.system)]
    groups += [(message.role, message.content) for message in body.messages]
    for name, blocks in groups:
        running.update(name.encode())
        total += tokens.MESSAGE_TOKENS if blocks else 0
        for block in blocks:
            content = tokens.without_cache_control(block.model_dump(exclude_none=True))
            running.update(orjson.dumps(content, option=orjson.OPT_SORT_KEYS))
            total += tokens.count_block(content)
            mark = getattr(block, "cache_control", None)
            positions.append(_Position(running.digest(), total, mark))
    if body.cache_control is not None and positions[-1].mark is None:
        positions[-1] = _Position(positions[-1].digest, total, body.cache_control)
    return positions
