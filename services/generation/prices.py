"""What a turn costs, by the dated price lists in ``prices.toml``."""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import ROUND_DOWN, Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

from services.generation.model import Tokens

_FILE = Path(__file__).with_name("prices.toml")
_MILLION = Decimal(1_000_000)
_NEVER = 2**31
# Tokens of a text whose count nobody told us, by its characters.
CHARACTERS_PER_TOKEN = 3
# How clouds name what the vendor calls "claude-x-1": "eu.anthropic.claude-x-1-v1:0", "claude-x-1@20261101".
_CLOUD_PREFIX = re.compile(r"^(?:[a-z-]+\.)?anthropic\.")
_CLOUD_ENDING = re.compile(r"(?:-v\d+(?::\d+\w*)*|@\w+)$")


@dataclass(frozen=True, slots=True)
class Price:
    """One model's prices, in US dollars for a million tokens."""

    input: Decimal
    output: Decimal
    long_prompt_tokens: int
    """Where a prompt has more, everything costs ``long_prompt_factor`` times as much."""
    long_prompt_factor: Decimal


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """A model's prices as they are shown, in US dollars for a million tokens."""

    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write: Decimal
    """Of what the cache keeps for five minutes."""
    long_prompt_tokens: int
    """0 where long prompts cost what others do."""
    long_prompt_factor: Decimal
    as_of: date
    """From when on the list holds."""


class PriceList:
    """Prices by model, as they are from one day on."""

    def __init__(self, data: Mapping[str, Any], otherwise: Price | None = None) -> None:
        """``data`` as a ``[[list]]`` of ``prices.toml`` has it, its fractions parsed as ``Decimal``.

        ``otherwise``: what a model costs that is not in it.
        """
        self._otherwise = otherwise
        self.begins: date = data["from"]
        self._prices = {str(model["name"]): _price(model) for model in data["model"]}
        self._cache: dict[str, Decimal] = dict(data["cache"])
        self._places: dict[str, Decimal] = dict(data["geography"])

    @property
    def models(self) -> tuple[str, ...]:
        """The names in the list."""
        return tuple(self._prices)

    def price(self, model: str) -> Price | None:
        """A model's price by its name, dated or not, or a cloud's; ``None`` where it is not in the list."""
        name = _CLOUD_ENDING.sub("", _CLOUD_PREFIX.sub("", model))
        while name:
            if found := self._prices.get(name):
                return found
            name, _, ending = name.rpartition("-")
            if not ending.isdigit():
                return None
        return None

    def shown(self, model: str) -> ModelPrice | None:
        """The same with the cache's prices worked out."""
        price = self.price(model)
        if price is None:
            return None
        tiered = price.long_prompt_tokens < _NEVER
        return ModelPrice(
            price.input,
            price.output,
            price.input * self._cache["read"],
            price.input * self._cache["write_5m"],
            price.long_prompt_tokens if tiered else 0,
            price.long_prompt_factor,
            self.begins,
        )

    def cost(self, model: str, tokens: Tokens) -> Decimal | None:
        """US dollars for one turn; ``None`` where nothing says what it costs."""
        price = self.price(model) or self._otherwise
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

    def guessed(self, model: str) -> bool:
        """Whether what it costs is a rate for models that are not in the list: an estimate, unless they are free."""
        rate = None if self.price(model) else self._otherwise
        return bool(rate and (rate.input or rate.output))

    def affordable(self, model: str, dollars: Decimal, prompt: Tokens) -> int | None:
        """Tokens that a turn may write for so much money after reading its prompt; ``None``: any number."""
        reading, one = self.cost(model, prompt), self.cost(model, replace(prompt, written=1))
        if reading is None or one is None or one == reading:
            return None
        left = (dollars - reading) / (one - reading)
        return max(0, int(left.to_integral_value(ROUND_DOWN)))


class PriceBook:
    """All price lists. Which one counts is decided by the day of the turn."""

    def __init__(self, lists: Sequence[PriceList]) -> None:
        """At least one, in any order."""
        self._lists = sorted(lists, key=lambda one: one.begins)
        self._days = [one.begins for one in self._lists]

    def on(self, day: date) -> PriceList:
        """The list of a day of UTC; before the first one, the first."""
        return self._lists[max(0, bisect_right(self._days, day) - 1)]


def _price(model: Mapping[str, Decimal | int | str]) -> Price:
    return Price(
        Decimal(model["input"]),
        Decimal(model["output"]),
        int(model.get("long_prompt_tokens", _NEVER)),
        Decimal(model.get("long_prompt_factor", 1)),
    )


def unlisted_price(rule: str) -> Price | None:
    """What a model costs that no list has, by GENERATION_UNPRICED_MODELS; ``None`` where it is to be refused."""
    if rule == "refuse":
        return None
    read, _, written = ("0/0" if rule == "free" else rule).partition("/")
    return Price(Decimal(read), Decimal(written), _NEVER, Decimal(1))


def read_prices(text: str, otherwise: Price | None = None) -> PriceBook:
    """The lists in a text like that of ``prices.toml``; ``otherwise`` is what models cost that are not in them."""
    data = tomllib.loads(text, parse_float=Decimal)
    return PriceBook([PriceList(one, otherwise) for one in data["list"]])


@lru_cache(maxsize=8)
def price_book(otherwise: Price | None = None) -> PriceBook:
    """The lists that ship with the service; ``otherwise`` is what models cost that are not in them."""
    return read_prices(_FILE.read_text(), otherwise)
