"""Drafts: files shown in the preview while they are being written.

They lie in the sandbox beside the project's folder, so nothing of them is ever in the store, in a list or in a hash.
When one ends is the preview server's to see: it compares when draft and file were put into their places. So a write
need not know of drafts, and what a dead writer left behind vanishes by its age.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog

from kit.db import Database
from services.sandbox.model import ASIDE, DRAFTS, Content, Origin
from services.sandbox.repository import Repository
from services.sandbox.service.fencing import fence
from services.sandbox.service.lifecycle import Lifecycle
from services.sandbox.vendor import (
    DiskFull,
    PathMissing,
    PathUnfit,
    SandboxLost,
    Upload,
    VendorSandbox,
)
from services.sandbox.writing_repository import WritingRepository

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Turns:
    """The drafts of one project that are on their way: one after another, in the order in which they came."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0
    count: int = 0
    newest: dict[str, int] = field(default_factory=dict)


class Drafts:
    """Puts drafts into sandboxes that run; where none does, nothing happens."""

    def __init__(self, database: Database, lifecycle: Lifecycle) -> None:
        """Drafts make no sandbox and wake none."""
        self._database = database
        self._lifecycle = lifecycle
        self._turns: dict[str, _Turns] = {}

    async def write(
        self, project_id: str, owner_id: str, origin: Origin, path: str, data: bytes
    ) -> None:
        """Shows this in place of a file. Of drafts that wait for their turn only the newest is written.

        Raises ``Conflict`` (STALE_EPOCH), ``Unavailable``.
        """
        place = _aside(origin, path)

        async def show(live: VendorSandbox) -> None:
            await live.write([Upload(place, Content(io.BytesIO(data), len(data)))])
            await live.rename(place, f"{DRAFTS}/{origin.generation_id}/{path}")

        async with self._turn(project_id, f"{origin.generation_id}/{path}") as wanted:
            if wanted:
                await self._in_sandbox(project_id, owner_id, origin, show)

    async def discard(
        self, project_id: str, owner_id: str, origin: Origin, paths: Iterable[str] = ()
    ) -> None:
        """Shows the files again: these, or all that this generation has drafts of. Raises as ``write``."""
        ended = [f"{origin.generation_id}/{path}" for path in paths]

        async def end(live: VendorSandbox) -> None:
            for draft in ended or [origin.generation_id]:
                await live.remove(f"{DRAFTS}/{draft}")

        async with self._turn(project_id, *ended):
            await self._in_sandbox(project_id, owner_id, origin, end)

    async def _in_sandbox(
        self,
        project_id: str,
        owner_id: str,
        origin: Origin,
        work: Callable[[VendorSandbox], Awaitable[None]],
    ) -> None:
        """Where a sandbox runs. What it can't take is no error: a draft is only for showing."""
        async with self._database.begin() as connection:
            await fence(WritingRepository(connection), project_id, origin)
            sandbox = await Repository(connection).running(project_id, owner_id)
        if sandbox is None:
            return
        try:
            async with self._lifecycle.told_apart(sandbox):
                await work(await self._lifecycle.connect(sandbox))
        except (SandboxLost, PathMissing, PathUnfit, DiskFull) as exc:
            _log.info("draft not shown", project=project_id, error=type(exc).__name__)

    @asynccontextmanager
    async def _turn(self, project_id: str, *drafts: str) -> AsyncIterator[bool]:
        """Whether the draft is still wanted when its turn comes. Without drafts: none that came before is."""
        turns = self._turns.setdefault(project_id, _Turns())
        turns.users += 1
        turns.count += 1
        mine = turns.count
        if not drafts:
            turns.newest.clear()
        turns.newest.update(dict.fromkeys(drafts, mine))
        try:
            async with turns.lock:
                yield all(turns.newest.get(draft) == mine for draft in drafts)
        finally:
            turns.users -= 1
            if not turns.users:
                self._turns.pop(project_id, None)


def _aside(origin: Origin, path: str) -> str:
    """Where a draft lies until it is whole. The same for each draft of a file: what was broken off is overwritten."""
    name = hashlib.sha256(f"{origin.generation_id}/{path}".encode()).hexdigest()[:24]
    return f"{ASIDE}/in/draft-{name}"
