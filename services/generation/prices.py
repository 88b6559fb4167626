"""What a turn costs, by the dated price list in ``prices.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, Decimal
from functools import lru_cache
from pathlib import Path

from services.generation.model import Tokens

_FILE = Path(__file__).with_name("prices.toml")
_MILLION = Decimal(1_000_000)
# Tokens of a text whose count nobody told us, by its characters.
CHARACTERS_PER_TOKEN = 3


@dataclass(frozen=True, slots=True)
class Price:
    """One model's prices, in US dollars for a million tokens."""

    input: Decimal
    output: Decimal
    long_prompt_tokens: int
    long_prompt_factor: Decimal


class PriceList:
    """Prices by model."""

    def __init__(self, data: Mapping[str, object]) -> None:
        """``data`` as ``prices.toml`` holds it, its fractions parsed as ``Decimal``."""
        models: list[dict[str, Decimal | int | str]] = list(data["model"])  # type: ignore[call-overload] # TOML
        self._prices = {str(model["name"]): _price(model) for model in models}
        self._cache: dict[str, Decimal] = dict(data["cache"])  # type: ignore[call-overload] # TOML
        self._places: dict[str, Decimal] = dict(data["geography"])  # type: ignore[call-overload] # TOML

    def price(self, model: str) -> Price | None:
        """A model's price by its name, dated or not; ``None`` where it is not in the list."""
        name = model
        while name:
            if found := self._prices.get(name):
                return found
            name, _, ending = name.rpartition("-")
            if not ending.isdigit():
                return None
        return None

    def cost(self, model: str, tokens: Tokens) -> Decimal | None:
        """US dollars for one turn; ``None`` where the price is not known."""
        price = self.price(model)
        if price is None:
            return None
        read = (
            tokens.read
            + tokens.cache_read * self._cache["read"]
            + tokens.cache_write_5m * self._cache["write_5m"]
            + tokens.cache_write_1h * self._cache["write_1h"]
        )
        total = (read * price.input + tokens.written * price.output) / _MILLION
        if tokens.prompt > price.long_prompt_tokens:
            total *= price.long_prompt_factor
        return total * self._places.get(tokens.geography, Decimal(1))

    def affordable(self, model: str, dollars: Decimal, prompt: Tokens) -> int | None:
        """Tokens that a turn may write for so much money after reading its prompt; ``None``: any number."""
        reading, one = self.cost(model, prompt), self.cost(model, replace(prompt, written=1))
        if reading is None or one is None or one == reading:
            return None
        left = (dollars - reading) / (one - reading)
        return max(0, int(left.to_integral_value(ROUND_DOWN)))


def _price(model: Mapping[str, Decimal | int | str]) -> Price:
    return Price(
        Decimal(model["input"]),
        Decimal(model["output"]),
        int(model.get("long_prompt_tokens", 2**31)),
        Decimal(model.get("long_prompt_factor", 1)),
    )


@lru_cache(maxsize=1)
def price_list() -> PriceList:
    """The list that ships with the service."""
    return PriceList(tomllib.loads(_FILE.read_text(), parse_float=Decimal))
