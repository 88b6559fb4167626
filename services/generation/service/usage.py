"""GetGenerationUsage: what a user has used, and the limits."""

from __future__ import annotations

from dataclasses import dataclass

from kit.db import Database
from services.generation.repository import Jobs
from services.generation.service.budget import Budget, BudgetState


@dataclass(frozen=True, slots=True)
class OwnUsage:
    """One user's generations under way, and their budgets."""

    running: int
    max_running: int
    queued: int
    max_queued: int
    today: BudgetState
    month: BudgetState


@dataclass(frozen=True, slots=True)
class OwnUsages:
    """Looks it up."""

    database: Database
    budget: Budget
    max_running: int
    max_queued: int

    async def of(self, owner_id: str) -> OwnUsage:
        """As it stands now."""
        async with self.database.begin() as connection:
            jobs = Jobs(connection)
            today, month = await self.budget.states(connection, owner_id)
            return OwnUsage(
                running=await jobs.running(owner_id),
                max_running=self.max_running,
                queued=await jobs.queued(owner_id),
                max_queued=self.max_queued,
                today=today,
                month=month,
            )
