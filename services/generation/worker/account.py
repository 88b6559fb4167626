"""What a generation costs while it runs: known turns, estimated ones, and what is left to spend."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from services.generation.model import Job, Tokens, Usage
from services.generation.prices import CHARACTERS_PER_TOKEN, PriceBook, PriceList
from services.generation.repository import Ledger, TurnKey
from services.generation.worker.journal import Step


@dataclass(slots=True)
class _Attempt:
    """One attempt at a turn, as far as it is known."""

    key: TurnKey
    tokens: Tokens
    prices: PriceList
    """Of the day on which it began: its whole price is that day's."""
    tell_at: float
    """When its running cost is to be told next, on the monotonic clock."""
    estimated: bool = True
    characters: int = 0

    def estimate(self) -> None:
        """What it wrote, by what arrived."""
        written = max(self.tokens.written, -(-self.characters // CHARACTERS_PER_TOKEN))
        self.tokens = replace(self.tokens, written=written)


class Account:
    """One worker's account of one generation. Each change is written by who calls, with ``values`` and ``step``."""

    def __init__(self, job: Job, prices: PriceBook, tell_seconds: float) -> None:
        """Goes on from what the row knows. The running cost of an attempt is due every ``tell_seconds``."""
        self._job = job
        self._book = prices
        self._tell_seconds = tell_seconds
        self._before = job.usage
        self._open: dict[str, _Attempt] = {}
        self._promised: dict[str, Decimal] = {}
        self._given_back = asyncio.Event()
        """Set when an agent holds less; the next time has another one."""
        self.sharers = 1
        """How many agents may be at work at once: what is left to spend is for all of them."""
        self.restarts = job.restarts
        """How many turns were cut and asked again."""

    @property
    def total(self) -> Usage:
        """All that was used, the attempts under way included."""
        total = self._before
        for attempt in self._open.values():
            total = self._sum(total, attempt)
        return total

    @property
    def under_way(self) -> Collection[str]:
        """The agents with an attempt whose end nobody told us."""
        return list(self._open)

    @property
    def values(self) -> dict[str, Any]:
        """The row's columns."""
        return asdict(self.total)

    def open(self, agent: str) -> bool:
        """Whether an attempt of this agent is under way."""
        return agent in self._open

    def begin(self, key: TurnKey, tokens: Tokens) -> Step:
        """An attempt begins; until its end is known it is an estimate."""
        tell_at = time.monotonic() + self._tell_seconds
        self._open[key.agent] = attempt = _Attempt(key, tokens, self._today(), tell_at)
        return self._entry(attempt)

    def heard(self, agent: str, characters: int) -> None:
        """The model said so much more."""
        if attempt := self._open.get(agent):
            attempt.characters += characters

    def due(self, agent: str) -> Step | None:
        """Now and then: the attempt under way, with an estimate of what it has written so far."""
        attempt = self._open.get(agent)
        if attempt is None or time.monotonic() < attempt.tell_at:
            return None
        attempt.tell_at = time.monotonic() + self._tell_seconds
        attempt.estimate()
        return self._entry(attempt)

    def complete(self, agent: str, tokens: Tokens) -> Step:
        """The attempt under way is over and made a turn; it used exactly this."""
        attempt = replace(self._closed(agent), tokens=tokens, estimated=False)
        total = self._sum(self._before, attempt)
        self._before = replace(total, turns=total.turns + 1)
        return self._entry(attempt)

    def cut(self, agent: str) -> Step:
        """The attempt under way was cut off: what it wrote is estimated by what arrived."""
        attempt = self._closed(agent)
        attempt.estimate()
        self._before = self._sum(self._before, attempt)
        return self._entry(attempt)

    async def grant(self, agent: str, limit: Decimal, prompt: Tokens, most: int, least: int) -> int:
        """As ``allow``, but for less than ``least`` it waits while other agents hold money that they may not need.

        With less than that in the end nothing is set aside.
        """
        while (granted := self.allow(agent, limit, prompt, most)) < least:
            self._promised.pop(agent, None)
            if not self._promised and not self._open:
                granted = self.allow(agent, limit, prompt, most, alone=True)
                if granted < least:
                    self._promised.pop(agent, None)
                break
            await self._given_back.wait()
        return granted

    def allow(
        self, agent: str, limit: Decimal, prompt: Tokens, most: int, *, alone: bool = False
    ) -> int:
        """Tokens that the agent's next turn may write before ``limit`` dollars are spent, at most ``most``.

        Their price is set aside until that turn is over, so that agents at work at once never spend the same money.
        ``alone``: nothing is left for agents that hold none now.
        """
        self._promised.pop(agent, None)
        left = limit - self._before.cost_usd - self._held()
        share = left if alone else left / max(1, self.sharers - len(self._promised))
        prices = self._today()
        affordable = prices.affordable(self._job.model, share, prompt)
        granted = most if affordable is None else min(most, affordable)
        price = prices.cost(self._job.model, replace(prompt, written=granted))
        self._promised[agent] = price or Decimal(0)
        return granted

    def _held(self) -> Decimal:
        """What agents at work may spend, or have spent already."""
        none = Decimal(0)
        running = {agent: self._priced(attempt)[0] for agent, attempt in self._open.items()}
        agents = {*running, *self._promised}
        held = (max(running.get(one, none), self._promised.get(one, none)) for one in agents)
        return sum(held, none)

    def release(self, agent: str) -> None:
        """The agent asks for no further turn: what was set aside for it is the others'."""
        self._promised.pop(agent, None)
        self._given_back.set()
        self._given_back = asyncio.Event()

    def _closed(self, agent: str) -> _Attempt:
        self.release(agent)
        try:
            return self._open.pop(agent)
        except KeyError:
            raise RuntimeError("no attempt is under way") from None

    def _sum(self, usage: Usage, attempt: _Attempt) -> Usage:
        return _sum(usage, attempt.tokens, *self._priced(attempt))

    def _today(self) -> PriceList:
        return self._book.on(datetime.now(UTC).date())

    def _priced(self, attempt: _Attempt) -> tuple[Decimal, bool]:
        cost = attempt.prices.cost(self._job.model, attempt.tokens)
        guessed = cost is None or attempt.prices.guessed(self._job.model)
        return cost or Decimal(0), attempt.estimated or guessed

    def _entry(self, attempt: _Attempt) -> Step:
        key, tokens = attempt.key, attempt.tokens
        cost, flagged = self._priced(attempt)

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
