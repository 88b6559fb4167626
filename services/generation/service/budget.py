"""What a user's generations may cost: set aside before one begins, settled when it has ended."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncConnection

from kit.errors import QuotaExceeded
from services.generation.repository import Budgets, Period, Spent

# Where only what is set aside stands in the way, a generation that ends may free it.
_SET_ASIDE_SECONDS = 30.0
_SMALLEST, _MOST = Decimal("1e-9"), Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class BudgetState:
    """One budget as it stands, in US dollars."""

    period: Period
    spent: Spent
    reserved: Decimal
    """What generations under way may still use."""
    limit: Decimal
    """0: any amount."""

    @property
    def left(self) -> Decimal:
        """What may still be set aside."""
        return self.limit - self.spent.usage.cost_usd - self.reserved


@dataclass(frozen=True, slots=True)
class Budget:
    """The limits. Asked with the owner locked, so that nobody else takes what is left."""

    a_generation: Decimal
    """US dollars that one generation may cost."""
    a_day: Decimal
    """US dollars in a day of UTC; 0: any amount."""
    a_month: Decimal
    """US dollars in a month of UTC; 0: any amount."""
    least: Decimal
    """With less than this left no generation is begun, unless it asks for less."""

    def cap(self, asked: Decimal) -> Decimal:
        """What a generation may cost that asks for so much; 0: it did not ask."""
        return min(asked, self.a_generation) if asked else self.a_generation

    async def reserve(
        self, connection: AsyncConnection, owner_id: str, asked: Decimal, *, billed: bool
    ) -> tuple[Decimal, Decimal]:
        """What a new generation may cost, and what is to be set aside for it.

        As much as it asks for, or what the budgets have left. Nothing is set aside for a model that is not ``billed``.
        Raises ``QuotaExceeded`` (BUDGET_EXCEEDED) where too little is left.
        """
        cap = self.cap(asked)
        if not billed:
            return cap, Decimal(0)
        limited = [state for state in await self.states(connection, owner_id) if state.limit]
        if not limited:
            return cap, cap
        tightest = min(limited, key=lambda state: state.left)
        if tightest.left < min(cap, self.least):
            raise _exceeded(tightest, min(cap, self.least))
        granted = min(cap, tightest.left)
        return granted, granted

    async def states(self, connection: AsyncConnection, owner_id: str) -> list[BudgetState]:
        """The day's and the month's budget."""
        budgets = Budgets(connection)
        reserved = await budgets.reserved(owner_id)
        limits = {Period.DAY: self.a_day, Period.MONTH: self.a_month}
        return [
            BudgetState(period, await budgets.spent(owner_id, period), reserved, limit)
            for period, limit in limits.items()
        ]


def dollars(amount: float) -> Decimal:
    """An amount of US dollars as the database keeps it; what is too small for it is its smallest amount."""
    if amount <= 0:
        return Decimal(0)
    return max(min(Decimal(amount), _MOST).quantize(_SMALLEST), _SMALLEST)


def _exceeded(state: BudgetState, needed: Decimal) -> QuotaExceeded:
    used, resets_at = state.spent.usage.cost_usd, state.spent.resets_at
    passing = state.limit - used >= needed
    wait = max(1.0, state.spent.resets_in)
    return QuotaExceeded(
        f"generations may cost {_dollars(state.limit)} a {state.period}: {_dollars(used)} are used and "
        f"{_dollars(state.reserved)} set aside for those under way; more from {resets_at:%Y-%m-%d %H:%M} UTC",
        reason="BUDGET_EXCEEDED",
        retry_after=min(wait, _SET_ASIDE_SECONDS) if passing else wait,
        metadata={
            "limit": _plain(state.limit),
            "period": state.period.value,
            "used": _plain(used),
            "reserved": _plain(state.reserved),
            "resets_at": resets_at.isoformat(),
        },
    )


def _dollars(amount: Decimal) -> str:
    return f"{_plain(amount)} US dollars"


def _plain(amount: Decimal) -> str:
    """Without an exponent and without zeros at the end."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
