"""What running sandboxes cost, by the dated price list in ``prices.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

from services.sandbox.ledger_repository import Ran

_FILE = Path(__file__).with_name("prices.toml")
_MIB_IN_GIB = 1024


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars a second of one processor, and of one GiB of memory."""

    cpu_second: float
    gib_second: float


class PriceList:
    """Prices by place."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        """``data`` as ``prices.toml`` holds it."""
        self.as_of: date = data["as_of"]
        self._prices = {
            place["name"]: Price(float(place["cpu_second"]), float(place["gib_second"]))
            for place in data["place"]
        }

    @property
    def places(self) -> frozenset[str]:
        """The names that there are prices for."""
        return frozenset(self._prices)

    def cost(self, ran: Iterable[Ran]) -> float:
        """US dollars. What ran at a place that is in the list no more costs nothing."""
        return sum(self._one(run) for run in ran)

    def _one(self, run: Ran) -> float:
        price = self._prices.get(run.size.place, Price(0, 0))
        gib = run.size.memory_mib / _MIB_IN_GIB
        return run.seconds * (run.size.cpu_count * price.cpu_second + gib * price.gib_second)


@lru_cache(maxsize=1)
def price_list() -> PriceList:
    """The list that ships with the service."""
    return PriceList(tomllib.loads(_FILE.read_text()))
