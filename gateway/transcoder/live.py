"""A call in flight whose client is watched: its body is fed in, its going away is noticed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Coroutine
from typing import Any, TypeVar

import grpc

T = TypeVar("T")

# After the initial metadata, how long an error may take to be still an error of the opening. The
# end of a refused call arrives with its metadata, but is told a turn of the event loop later.
_OPENING_SECONDS = 0.02

END = object()


class Draining(Exception):
    """The server is about to stop; the stream ends so that its client comes back elsewhere."""


class LiveCall:
    """Wraps a streaming call. ``stopped`` says why we cancelled it, if we did."""

    def __init__(self, call: Any, inbound: Coroutine[Any, Any, None]) -> None:
        self._call = call
        self.stopped: Exception | None = None
        self._inbound = asyncio.create_task(self._watch(inbound))
        self._messages: AsyncIterator[Any] | None = None
        self._first: asyncio.Task[Any] | None = None

    async def _watch(self, inbound: Coroutine[Any, Any, None]) -> None:
        try:
            await inbound
        except (asyncio.InvalidStateError, grpc.RpcError):
            pass  # the call ended under the writer; whoever reads it learns how
        except Exception as exc:  # noqa: BLE001  # not swallowed: who waits for the call gets it
            self.stop(exc)

    def stop(self, why: Exception) -> None:
        """Cancels the call; who waits for it sees ``why``."""
        if self.stopped is None:
            self.stopped = why
            self._call.cancel()

    async def guard(self, waiting: Awaitable[T]) -> T:
        """Awaits something of the call, telling our own cancellation of it from ours being cancelled."""
        try:
            return await waiting
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self.stopped is not None and not (task is not None and task.cancelling()):
                raise self.stopped from None
            raise

    async def open(self) -> None:
        """Waits for the call to have begun, so that an early error is raised here."""
        self._messages = aiter(self._call)
        self._first = asyncio.ensure_future(self._next())
        await self.guard(self._call.initial_metadata())
        await asyncio.wait({self._first}, timeout=_OPENING_SECONDS)
        if self._first.done():
            await self.guard(self._first)

    async def next(self) -> Any:
        """The next message, or END. Raises AioRpcError, or what the call was stopped for."""
        waiting, self._first = self._first, None
        if waiting is not None:
            return await self.guard(waiting)
        return await self.guard(self._next())

    def over_already(self) -> bool:
        """Whether the stream is known to be over before its first message."""
        return self._first is not None and self._first.done() and self._first.result() is END

    async def _next(self) -> Any:
        assert self._messages is not None
        return await anext(self._messages, END)

    async def response(self) -> Any:
        """The single response of a call whose client streams."""
        return await self.guard(self._call)

    async def leave_client(self) -> None:
        """Stops listening to the client: the answer is known."""
        self._inbound.cancel()
        await asyncio.gather(self._inbound, return_exceptions=True)

    async def close(self) -> None:
        """Ends whatever still runs. Safe to call twice."""
        self._call.cancel()
        await self.leave_client()
        if self._first is not None:
            await asyncio.gather(self._first, return_exceptions=True)
