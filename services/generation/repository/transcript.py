"""The conversation with the model, append-only, and what its tool calls did."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.generation.model import Message
from services.generation.tables import messages, tool_results


class Transcript:
    """One agent's in one generation. Writing is fenced by the same transaction's update of the row."""

    def __init__(self, connection: AsyncConnection, generation_id: str, agent: str = "") -> None:
        """On a connection with a transaction."""
        self._connection = connection
        self._generation_id = generation_id
        self._agent = agent

    async def read(self) -> list[Message]:
        """All messages in order."""
        rows = await self._connection.execute(
            sa.select(messages.c.role, messages.c.content, messages.c.stop_reason)
            .where(
                (messages.c.generation_id == self._generation_id)
                & (messages.c.agent == self._agent)
            )
            .order_by(messages.c.position)
        )
        return [Message(*row) for row in rows]

    async def add(self, position: int, turn: int, added: Sequence[Message]) -> None:
        """Adds messages at a position; one that is taken already is an error."""
        rows = [
            {
                "generation_id": self._generation_id,
                "agent": self._agent,
                "position": position + index,
                "turn": turn,
                "role": message.role,
                "content": message.content,
                "stop_reason": message.stop_reason,
            }
            for index, message in enumerate(added)
        ]
        await self._connection.execute(sa.insert(messages), rows)

    async def add_result(
        self, operation_id: str, call_id: str, tool: str, path: str, result: str, *, is_error: bool
    ) -> None:
        """What one tool call did."""
        values = {
            "generation_id": self._generation_id,
            "operation_id": operation_id,
            "agent": self._agent,
            "tool_use_id": call_id,
            "tool": tool,
            "path": path,
            "result": result,
            "is_error": is_error,
        }
        await self._connection.execute(insert(tool_results).values(values).on_conflict_do_nothing())
