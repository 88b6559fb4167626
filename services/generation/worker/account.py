"""What a generation costs while it runs: known turns, estimated ones, and what is left to spend."""

from __future__ import annotations

from dataclasses import asdict, replace
from decimal import Decimal
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from services.generation.model import Job, Tokens, Usage
from services.generation.prices import CHARACTERS_PER_TOKEN, PriceList
from services.generation.repository import Ledger, TurnKey
from services.generation.worker.journal import Step


class Account:
    """One worker's account of one generation. Each change is written by who calls, with ``values`` and ``step``."""

    def __init__(self, job: Job, prices: PriceList) -> None:
        """Goes on from what the row knows."""
        self._job = job
        self._prices = prices
        self._before = job.usage
        self._current: tuple[TurnKey, Tokens, bool] | None = None
        self._characters = 0

    @property
    def total(self) -> Usage:
        """All that was used, the attempt under way included."""
        if self._current is None:
            return self._before
        _, tokens, estimated = self._current
        return _sum(self._before, tokens, *self._priced(tokens, estimated))

    @property
    def open(self) -> bool:
        """Whether an attempt is under way whose end nobody told us."""
        return self._current is not None

    @property
    def values(self) -> dict[str, Any]:
        """The row's columns."""
        return asdict(self.total)

    def begin(self, key: TurnKey, tokens: Tokens) -> Step:
        """An attempt begins; until its end is known it is an estimate."""
        self._current, self._characters = (key, tokens, True), 0
        return self._entry()

    def heard(self, characters: int) -> None:
        """The model said so much more."""
        self._characters += characters

    def complete(self, tokens: Tokens) -> Step:
        """The attempt under way is over and made a turn; it used exactly this."""
        key = self._open_key()
        self._current = (key, tokens, False)
        step = self._entry()
        self._before = replace(self.total, turns=self._before.turns + 1)
        self._current = None
        return step

    def cut(self) -> Step:
        """The attempt under way was cut off: what it wrote is estimated by what arrived."""
        key = self._open_key()
        assert self._current
        tokens = self._current[1]
        written = max(tokens.written, -(-self._characters // CHARACTERS_PER_TOKEN))
        self._current = (key, replace(tokens, written=written), True)
        step = self._entry()
        self._before, self._current = self.total, None
        return step

    def affordable(self, limit: Decimal, prompt: Tokens) -> int | None:
        """Tokens that one more turn may write before ``limit`` dollars are spent; ``None``: any number."""
        return self._prices.affordable(self._job.model, limit - self.total.cost_usd, prompt)

    def _open_key(self) -> TurnKey:
        if self._current is None:
            raise RuntimeError("no attempt is under way")
        return self._current[0]

    def _priced(self, tokens: Tokens, estimated: bool) -> tuple[Decimal, bool]:
        cost = self._prices.cost(self._job.model, tokens)
        return (Decimal(0), True) if cost is None else (cost, estimated)

    def _entry(self) -> Step:
        assert self._current
        key, tokens, estimated = self._current
        cost, flagged = self._priced(tokens, estimated)

        async def put(connection: AsyncConnection) -> None:
            await Ledger(connection, self._job).put(key, tokens, cost, estimated=flagged)

        return put


def _sum(usage: Usage, tokens: Tokens, cost: Decimal, estimated: bool) -> Usage:
    return replace(
        usage,
        input_tokens=usage.input_tokens + tokens.read,
        output_tokens=usage.output_tokens + tokens.written,
        cache_read_tokens=usage.cache_read_tokens + tokens.cache_read,
        cache_write_tokens=usage.cache_write_tokens + tokens.cache_write_5m + tokens.cache_write_1h,
        cost_usd=usage.cost_usd + cost,
        estimated=usage.estimated or estimated,
    )
