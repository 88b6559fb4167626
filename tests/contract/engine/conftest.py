"""Sandboxes of a real engine, made by both flavours of the official SDK."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from e2b import AsyncSandbox, Sandbox

from tests.fixtures.engine import RunningEngine

_MODULES = frozenset(("files", "commands", "pty", "git"))
_PLAIN = frozenset(("get_host", "download_url", "upload_url"))
_HANDLES = ("Sandbox", "SandboxPaginator", "CommandHandle", "WatchHandle")


class Threaded:
    """The synchronous SDK behind the asynchronous one's interface, so that a test drives either."""

    def __init__(self, target: Any) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        if name in _MODULES:
            return Threaded(value)
        if not callable(value) or name in _PLAIN:
            return value

        async def call(*args: Any, **kwargs: Any) -> Any:
            result = await asyncio.to_thread(value, *args, **kwargs)
            return Threaded(result) if type(result).__name__ in _HANDLES else result

        return call


Create = Callable[..., Awaitable[Any]]


@pytest.fixture(params=["async", "sync"])
def sdk(request: pytest.FixtureRequest) -> Any:
    """The SDK's class of this run's flavour, for the calls that name a sandbox by its id."""
    return AsyncSandbox if request.param == "async" else Threaded(Sandbox)


@pytest.fixture
def create(sdk: Any, engine: RunningEngine) -> Create:
    """Makes a sandbox with the SDK's flavour of this run; who makes one kills it."""

    async def make(**options: Any) -> Any:
        return await sdk.create(**{"timeout": 120, **engine.sdk, **options})

    return make


@pytest.fixture
async def box(create: Create) -> AsyncIterator[Any]:
    """One running sandbox, in both flavours."""
    sandbox = await create()
    yield sandbox
    await sandbox.kill()


@pytest.fixture
async def sandbox(engine: RunningEngine) -> AsyncIterator[AsyncSandbox]:
    """One running sandbox of the asynchronous SDK."""
    made = await AsyncSandbox.create(timeout=120, **engine.sdk)
    yield made
    await made.kill()
