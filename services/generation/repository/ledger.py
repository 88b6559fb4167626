"""What each attempt at a turn used."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.generation.model import Job, Tokens
from services.generation.tables import usage


@dataclass(frozen=True, slots=True)
class TurnKey:
    """Names one attempt at one turn."""

    turn: int
    epoch: int
    attempt: int
    agent: str = ""
    """Whose turn; empty where one agent does everything."""


class Ledger:
    """One generation's part of the ledger."""

    def __init__(self, connection: AsyncConnection, job: Job) -> None:
        """On a connection with a transaction."""
        self._connection = connection
        self._job = job

    async def put(self, key: TurnKey, tokens: Tokens, cost: Decimal, *, estimated: bool) -> None:
        """Sets what an attempt used, as far as it is known now."""
        counted = {
            "input_tokens": tokens.read,
            "output_tokens": tokens.written,
            "cache_read_tokens": tokens.cache_read,
            "cache_write_tokens": tokens.cache_write_5m + tokens.cache_write_1h,
            "cost_usd": cost,
            "estimated": estimated,
        }
        row = {
            "generation_id": self._job.generation_id,
            "agent": key.agent,
            "turn": key.turn,
            "epoch": key.epoch,
            "attempt": key.attempt,
            "owner_id": self._job.owner_id,
            "project_id": self._job.project_id,
            "model": self._job.model,
            **counted,
        }
        await self._connection.execute(
            insert(usage)
            .values(row)
            .on_conflict_do_update(constraint=usage.primary_key, set_=counted)
        )
