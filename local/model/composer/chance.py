"""Choices that look free and are not: the same seed makes the same ones."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Chance:
    """Choices by label, so that a new choice in one place moves none in another."""

    seed: int

    def number(self, label: str, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        digest = hashlib.sha256(f"{self.seed}:{label}".encode()).digest()
        return low + int.from_bytes(digest[:6], "big") % (high - low + 1)

    def pick(self, label: str, items: Sequence[Item]) -> Item:
        """One of `items`."""
        return items[self.number(label, 0, len(items) - 1)]

    def shuffled(self, label: str, items: Sequence[Item]) -> list[Item]:
        """`items` in another order."""
        keyed = [
            (self.number(f"{label}:{index}", 0, 1 << 40), index) for index in range(len(items))
        ]
        return [items[index] for _, index in sorted(keyed)]
