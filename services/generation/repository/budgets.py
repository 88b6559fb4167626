"""What a user's generations used and have set aside. Days and months are those of UTC, by the database's clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.generation.model import Status, Usage
from services.generation.tables import generations, usage


class Period(StrEnum):
    """How long a budget lasts."""

    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Spent:
    """What a user has used of one period."""

    usage: Usage
    resets_at: datetime
    """When the next period begins."""
    resets_in: float
    """Seconds until then."""


_SUMS = tuple(
    sa.cast(sa.func.coalesce(sa.func.sum(usage.c[name]), 0), sa.Numeric).label(name)
    for name in (
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "cost_usd",
    )
)


class Budgets:
    """Sums over one user's part of the ledger and of the queue."""

    def __init__(self, connection: AsyncConnection) -> None:
        """On a connection with a transaction."""
        self._connection = connection

    async def spent(self, owner_id: str, period: Period) -> Spent:
        """All attempts of a day or month that has begun, those under way included."""
        # Without a zone while we count, so that the session's zone has no say.
        first = sa.func.date_trunc(period.value, sa.func.timezone("UTC", sa.func.clock_timestamp()))
        begin = sa.func.timezone("UTC", first)
        # The period is one of our own two words.
        after = first + sa.text(f"interval '1 {period.value}'")
        end = sa.func.timezone("UTC", after, type_=sa.DateTime(timezone=True)).label("resets_at")
        seconds = sa.extract("epoch", end - sa.func.clock_timestamp())
        turn = sa.tuple_(usage.c.generation_id, usage.c.agent, usage.c.turn)
        query = sa.select(
            *_SUMS,
            sa.func.count(turn.distinct()).label("turns"),
            sa.func.coalesce(sa.func.bool_or(usage.c.estimated), sa.false()).label("estimated"),
            end,
            sa.cast(seconds, sa.Float).label("resets_in"),
        ).where((usage.c.owner_id == owner_id) & (usage.c.created_at >= begin))
        row = (await self._connection.execute(query)).mappings().one()
        return Spent(_usage(row), row["resets_at"], max(0.0, row["resets_in"]))

    async def reserved(self, owner_id: str) -> Decimal:
        """US dollars that generations under way may still use of what was set aside for them."""
        left = generations.c.reserved_usd - generations.c.cost_usd
        query = sa.select(sa.func.coalesce(sa.func.sum(left), 0)).where(
            (generations.c.owner_id == owner_id)
            & generations.c.status.in_((Status.QUEUED, Status.RUNNING))
            & (left > 0)
        )
        return Decimal((await self._connection.execute(query)).scalar_one())


def _usage(row: sa.RowMapping) -> Usage:
    counts = {
        name: int(row[name])
        for name in (
            "input_tokens",
            "output_tokens",
            "cache_read_tokens",
            "cache_write_tokens",
            "turns",
        )
    }
    return Usage(**counts, cost_usd=Decimal(row["cost_usd"]), estimated=row["estimated"])
