"""Noting that sandboxes are used, so that the idle ones can be put to sleep."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import structlog

from kit.db import Database
from services.sandbox.life_repository import LifeRepository
from services.sandbox.model import Sandbox

_log = structlog.get_logger(__name__)


class Use:
    """A use is noted to about a quarter of the time after which a sandbox is idle, not at every call."""

    def __init__(self, database: Database, idle_seconds: float) -> None:
        """``idle_seconds``: 0 where sandboxes are never put to sleep for being idle; nothing is noted then."""
        self._database = database
        self._every = idle_seconds / 4

    async def touch(self, sandbox: Sandbox) -> None:
        """The sandbox is used now."""
        if not self._every:
            return
        if (datetime.now(UTC) - sandbox.used_at).total_seconds() >= self._every:
            await self._note(sandbox)

    @asynccontextmanager
    async def of(self, sandbox: Sandbox) -> AsyncIterator[None]:
        """Inside of it the sandbox is used, however long it takes: a command, a watch."""
        await self.touch(sandbox)
        if not self._every:
            yield
            return
        task = asyncio.create_task(self._note_always(sandbox))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _note_always(self, sandbox: Sandbox) -> None:
        while True:
            await asyncio.sleep(self._every)
            await self._note(sandbox)

    async def _note(self, sandbox: Sandbox) -> None:
        try:
            async with self._database.begin() as connection:
                await LifeRepository(connection).touch(sandbox.sandbox_id)
        except Exception as exc:  # noqa: BLE001 - tried again soon; at worst an idle sandbox is put to sleep and woken
            _log.warning("use not noted", sandbox=sandbox.sandbox_id, error=type(exc).__name__)
