"""What one user may have: sandboxes at once, and seconds a day."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from kit.errors import QuotaExceeded
from services.sandbox.ledger_repository import DAY, LedgerRepository
from services.sandbox.repository import Repository


@dataclass(frozen=True, slots=True)
class Allowance:
    """Limits of one user. Asked with the owner locked, so that nobody else takes what is left."""

    max_active: int
    """Sandboxes that run or are being made."""
    max_seconds_a_day: int
    """Seconds that they run in a day of UTC, all together; 0: any number."""

    async def check_place(self, connection: AsyncConnection, owner_id: str) -> None:
        """Raises ``QuotaExceeded`` (SANDBOX_QUOTA) where no more may run at once."""
        used, _ = await Repository(connection).count(owner_id)
        if used >= self.max_active:
            raise QuotaExceeded(
                f"at most {self.max_active} sandboxes may run at once, and {used} do; close or pause one first",
                reason="SANDBOX_QUOTA",
                metadata={"limit": str(self.max_active), "used": str(used)},
            )

    async def lifetime(self, connection: AsyncConnection, owner_id: str, seconds: float) -> float:
        """As many of these seconds as are left today. Raises ``QuotaExceeded`` (SANDBOX_SECONDS) where none is."""
        if not self.max_seconds_a_day:
            return seconds
        ledger = LedgerRepository(connection)
        used = await ledger.seconds(owner_id, DAY)
        left = self.max_seconds_a_day - used
        if left < 1:
            raise await self._spent(ledger, used)
        resets_in = (await ledger.ends_of(DAY) - await ledger.now()).total_seconds()
        # What runs on into the next day takes of that day's seconds.
        return seconds if left >= resets_in else min(seconds, left)

    async def _spent(self, ledger: LedgerRepository, used: float) -> QuotaExceeded:
        resets_at = await ledger.ends_of(DAY)
        wait = max(1.0, (resets_at - await ledger.now()).total_seconds())
        return QuotaExceeded(
            f"sandboxes may run {self.max_seconds_a_day} seconds a day, and {int(used)} are used; "
            f"more from {resets_at:%Y-%m-%d %H:%M} UTC",
            reason="SANDBOX_SECONDS",
            retry_after=wait,
            metadata={
                "limit": str(self.max_seconds_a_day),
                "used": str(int(used)),
                "resets_at": resets_at.isoformat(),
            },
        )
