"""Idempotency keys: the same key is the same sandbox, also for a retry that overtakes the first try."""

from __future__ import annotations

import asyncio

from local.sandboxes.engine import Engine
from local.sandboxes.model import Order
from local.sandboxes.sandbox import Sandbox


class CreateOnce:
    """A key is good for as long as its sandbox lives."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._by_key: dict[str, asyncio.Task[Sandbox]] = {}

    async def create(self, key: str, order: Order) -> Sandbox:
        """The key's sandbox, made if there is none; an empty key is a new one each time."""
        if not key:
            return await self._engine.create(order)
        task = self._by_key.get(key)
        if task is None:
            self._forget_the_gone()
            task = self._by_key[key] = asyncio.create_task(self._engine.create(order))
        try:
            # Shielded: a client that gives up and retries must find what it asked for.
            sandbox = await asyncio.shield(task)
        except BaseException:
            if task.done():
                self._forget(key, task)
            raise
        if sandbox.gone.is_set():
            self._forget(key, task)
            return await self.create(key, order)
        return sandbox

    def _forget(self, key: str, task: asyncio.Task[Sandbox]) -> None:
        if self._by_key.get(key) is task:
            del self._by_key[key]

    def _forget_the_gone(self) -> None:
        for key, task in list(self._by_key.items()):
            if task.done() and (task.exception() or task.result().gone.is_set()):
                del self._by_key[key]
