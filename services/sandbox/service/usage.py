"""What a user's sandboxes have used, and the limits."""

from __future__ import annotations

from kit.db import Database
from services.sandbox.command_repository import CommandRepository
from services.sandbox.ledger_repository import DAY, MONTH, LedgerRepository
from services.sandbox.model import Usage
from services.sandbox.prices import PriceList
from services.sandbox.repository import Repository
from services.sandbox.service.allowance import Allowance


class Reckoning:
    """Adds up."""

    def __init__(self, database: Database, allowance: Allowance, prices: PriceList) -> None:
        """``prices`` by which the ledger's intervals are reckoned."""
        self._database = database
        self._allowance = allowance
        self._prices = prices

    async def usage(self, owner_id: str) -> Usage:
        """All of one user's."""
        async with self._database.begin() as connection:
            ledger = LedgerRepository(connection)
            active, paused = await Repository(connection).count(owner_id)
            month = await ledger.ran(owner_id, MONTH)
            return Usage(
                active=active,
                paused=paused,
                max_active=self._allowance.max_active,
                seconds_today=await ledger.seconds(owner_id, DAY),
                max_seconds_a_day=self._allowance.max_seconds_a_day,
                day_resets_at=await ledger.ends_of(DAY),
                seconds_this_month=sum(ran.seconds for ran in month),
                cost_usd_this_month=self._prices.cost(month),
                prices_as_of=self._prices.as_of.isoformat(),
                commands_today=await CommandRepository(connection).commands_today(owner_id),
            )
