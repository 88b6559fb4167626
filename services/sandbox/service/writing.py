"""Writes: into the sandbox and into the store, acknowledged when both have it.

The files are set aside in the sandbox while they travel to the store. Only once they are there does the store take
the write, and only once the store has taken it do they move into their places: what the store refuses, or what has no
room in the sandbox, changes nothing anywhere. From the store's yes on the sandbox has to follow; it is noted as
unsettled until it has, so that a crash in between leaves something to find. What is noted in the meantime, such as
files that were reset in the store, stays noted: whoever settles a sandbox settles what was noted before it began.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress

import structlog

from kit.db import Database
from kit.errors import (
    Conflict,
    FailedPrecondition,
    Invalid,
    NotFound,
    PermissionDenied,
    QuotaExceeded,
    ServiceError,
    Unavailable,
)
from services.sandbox.locks import Lock, Locks
from services.sandbox.model import Delete, Kind, Origin, Put, Rename, Sandbox, Status, Step, Written
from services.sandbox.projects_peer import ProjectsPeer
from services.sandbox.repository import Repository
from services.sandbox.service.fencing import fence
from services.sandbox.service.filling import Filling, aside_path, find, site_path
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
_SANDBOXES_TRIED = 3
_REFUSALS = (Conflict, FailedPrecondition, Invalid, NotFound, PermissionDenied, QuotaExceeded)
"""Errors of the store after which nothing has changed."""
Places = dict[int, str]
"""Where the content of a put lies in the sandbox until it takes effect, by the step's position."""


class Writing:
    """Writes of one project go one after another, whichever replica they come to."""

    def __init__(
        self,
        database: Database,
        locks: Locks,
        projects: ProjectsPeer,
        filling: Filling,
        lifecycle: Lifecycle,
        timeout_seconds: float,
    ) -> None:
        """``timeout_seconds``: how long one write may take once it has its turn."""
        self._database = database
        self._locks = locks
        self._projects = projects
        self._filling = filling
        self._lifecycle = lifecycle
        self._timeout_seconds = timeout_seconds

    async def write(
        self, project_id: str, owner_id: str, origin: Origin, steps: Sequence[Step]
    ) -> tuple[Written, Sandbox]:
        """Applies all steps or none; answers what changed, and the sandbox that has it.

        Raises ``Conflict`` (STALE_EPOCH), ``QuotaExceeded`` (SANDBOX_FULL, SANDBOX_QUOTA), ``Unavailable``, and what
        the store raises.
        """
        try:
            async with (
                asyncio.timeout(self._timeout_seconds),
                self._locks.hold(lock_name(project_id)) as lock,
            ):
                sandbox = await self._begin(project_id, owner_id, origin, _removed(steps))
                return await self._write(lock, sandbox, origin, steps)
        except TimeoutError as exc:
            raise Unavailable(
                "the sandbox does not answer", reason="SANDBOX_SLOW", retry_after=2.0
            ) from exc

    async def delete(self, project_id: str, owner_id: str, path: str) -> None:
        """Removes one file. Raises ``NotFound`` (FILE_NOT_FOUND) where neither store nor sandbox has it."""
        there = await self._projects.has(project_id, path) or await self._sandbox_has(
            project_id, owner_id, path
        )
        if not there:
            raise NotFound(f"there is no file '{path}'", reason="FILE_NOT_FOUND")
        await self.write(project_id, owner_id, Origin(), [Delete(path)])

    async def _sandbox_has(self, project_id: str, owner_id: str, path: str) -> bool:
        """A file may be in the sandbox alone, made by a command."""
        try:
            async with self._lifecycle.using(project_id, owner_id) as (_, live):
                entry = await find(live, site_path(path))
        except (NotFound, PathUnfit):
            return False
        return entry is not None and entry.kind is not Kind.DIRECTORY

    async def align(self, project_id: str, owner_id: str) -> None:
        """Brings the project's sandbox, where one runs and is unsettled, in line with the store, also a late one."""
        async with (
            asyncio.timeout(self._timeout_seconds),
            self._locks.hold(lock_name(project_id)) as lock,
        ):
            async with self._database.begin() as connection:
                sandbox = await Repository(connection).opened(project_id, owner_id)
            # A write that had its turn before may have settled it.
            if sandbox is None or sandbox.status is not Status.ACTIVE or not sandbox.unsettled:
                return
            try:
                await self._filling.align(await self._lifecycle.connect(sandbox), sandbox)
            except SandboxLost:
                await self._lifecycle.lost(sandbox)
                return
            await self._settle(lock, sandbox)

    async def _begin(
        self, project_id: str, owner_id: str, origin: Origin, removed: Sequence[str]
    ) -> Sandbox:
        """The sandbox to write into, noted as unsettled."""
        async with self._database.begin() as connection:
            repository = WritingRepository(connection)
            await fence(repository, project_id, origin)
            sandbox = await repository.begin_writing(project_id, owner_id, removed)
        while sandbox is None:
            sandbox = await self._readied(project_id, owner_id, removed)
        return sandbox

    async def _readied(
        self, project_id: str, owner_id: str, removed: Sequence[str]
    ) -> Sandbox | None:
        """As ``_begin``, where there is no sandbox or the last write did not come to an end."""
        found = await self._lifecycle.ensure(project_id, owner_id, writing=True)
        noted = await self._note(found, removed)
        if noted is None:
            return None
        try:
            # Also where something else was noted after it was found.
            if found.unsettled or noted.dirt != found.dirt + 1:
                await self._filling.align(await self._lifecycle.connect(noted), noted)
        except SandboxLost:
            await self._lifecycle.lost(noted)
            return None
        return noted

    async def _note(self, sandbox: Sandbox, removed: Sequence[str]) -> Sandbox | None:
        """The sandbox, noted as unsettled; ``None`` where it was closed meanwhile."""
        async with self._database.begin() as connection:
            return await WritingRepository(connection).unsettle(sandbox.sandbox_id, removed)

    async def _write(
        self, lock: Lock, sandbox: Sandbox, origin: Origin, steps: Sequence[Step]
    ) -> tuple[Written, Sandbox]:
        places: Places = {}
        try:
            written = await self._to_store(sandbox, origin, steps, places)
        except BaseException as exc:
            # Where the store's answer was not heard it may have taken the write: that is left to be compared.
            refused = isinstance(exc, _REFUSALS)
            await asyncio.shield(self._take_back(lock, sandbox, places, refused=refused))
            raise
        # What was done earlier may have been overwritten since: done again it would bring old content back.
        compare = written.repeated or len(places) < sum(isinstance(step, Put) for step in steps)
        for _ in range(_SANDBOXES_TRIED):
            if await self._follow(lock, sandbox, steps, places, compare=compare):
                return written, sandbox
            await self._lifecycle.lost(sandbox)
            found = await self._lifecycle.ensure(sandbox.project_id, sandbox.owner_id, writing=True)
            sandbox = await self._note(found, _removed(steps)) or found
            # The new one was filled before the store had this write, or after it.
            places, compare = {}, True
        raise Unavailable("no sandbox lasts", reason="SANDBOX_FAILED", retry_after=2.0)

    async def _to_store(
        self, sandbox: Sandbox, origin: Origin, steps: Sequence[Step], places: Places
    ) -> Written:
        """The store takes the write once the sandbox has its content aside, or is gone."""
        ready = asyncio.Event()
        put = asyncio.create_task(self._projects.put(sandbox.project_id, origin, steps, ready))
        try:
            with suppress(SandboxLost):
                async with self._lifecycle.told_apart(sandbox):
                    await _set_aside(await self._lifecycle.connect(sandbox), steps, places)
            ready.set()
            return await put
        except DiskFull as exc:
            raise QuotaExceeded("the sandbox's disk is full", reason="SANDBOX_FULL") from exc
        except (PathMissing, PathUnfit) as exc:
            raise Unavailable(
                "the sandbox can't take files", reason="SANDBOX_UNFIT", retry_after=2.0
            ) from exc
        finally:
            put.cancel()
            await asyncio.wait([put])

    async def _follow(
        self,
        lock: Lock,
        sandbox: Sandbox,
        steps: Sequence[Step],
        places: Mapping[int, str],
        *,
        compare: bool,
    ) -> bool:
        """Makes the sandbox what the store is now; false where the sandbox is gone.

        ``compare``: by looking at what differs instead of doing the steps.
        """
        try:
            async with self._lifecycle.told_apart(sandbox):
                live = await self._lifecycle.connect(sandbox)
                if compare or not await _applied(live, steps, places):
                    await self._filling.align(live, sandbox)
                    for place in places.values():
                        await live.remove(place)
        except SandboxLost:
            return False
        except DiskFull as exc:
            raise QuotaExceeded("the sandbox's disk is full", reason="SANDBOX_FULL") from exc
        except (PathMissing, PathUnfit) as exc:
            raise Unavailable(
                "the sandbox can't be brought in line with the store",
                reason="SANDBOX_UNFIT",
                retry_after=2.0,
            ) from exc
        return await self._settle(lock, sandbox)

    async def _settle(self, lock: Lock, sandbox: Sandbox) -> bool:
        """The sandbox is what the store was when it was noted; false where it was closed meanwhile."""
        async with self._database.begin() as connection:
            repository = WritingRepository(connection)
            if lock.held:
                return await repository.settle(sandbox)
            # Somebody else may have written at the same time: left to be compared.
            return await repository.unsettle(sandbox.sandbox_id) is not None

    async def _take_back(
        self, lock: Lock, sandbox: Sandbox, places: Mapping[int, str], *, refused: bool
    ) -> None:
        """Removes what was set aside. ``refused``: the store has certainly not taken the write."""
        try:
            live = await self._lifecycle.connect(sandbox)
            for place in places.values():
                await live.remove(place)
            if refused:
                await self._settle(lock, sandbox)
        except (SandboxLost, PathMissing, PathUnfit, DiskFull, ServiceError) as exc:
            # What made the write fail is what its caller is told, not this.
            _log.info("left aside", sandbox=sandbox.sandbox_id, error=type(exc).__name__)


def _removed(steps: Sequence[Step]) -> list[str]:
    """Paths that these steps take away."""
    paths = []
    for step in steps:
        match step:
            case Delete(path) | Rename(path):
                paths.append(path)
    return paths


async def _set_aside(live: VendorSandbox, steps: Sequence[Step], places: Places) -> None:
    """Writes the content of every put next to the project."""
    uploads = []
    for position, step in enumerate(steps):
        if isinstance(step, Put):
            places[position] = aside_path()
            uploads.append(Upload(places[position], step.content))
    if uploads:
        await live.write(uploads)


async def _applied(live: VendorSandbox, steps: Sequence[Step], places: Mapping[int, str]) -> bool:
    """Does the steps. False where the sandbox is not as the store has it: a folder where a file should be, say."""
    try:
        await _apply(live, steps, places)
    except (PathMissing, PathUnfit):
        return False
    return True


async def _apply(live: VendorSandbox, steps: Sequence[Step], places: Mapping[int, str]) -> None:
    """What the store has done, done in the sandbox."""
    for position, step in enumerate(steps):
        match step:
            case Put(path):
                await live.rename(places[position], site_path(path))
            case Rename(old, new):
                await live.rename(site_path(old), site_path(new))
            case Delete(path):
                await _delete(live, site_path(path))


async def _delete(live: VendorSandbox, place: str) -> None:
    """Removes a file, never a folder: a folder may hold files that the store has."""
    entry = await find(live, place)
    if entry is not None and (entry.kind is not Kind.DIRECTORY or entry.symlink_target):
        await live.remove(place)


def lock_name(project_id: str) -> str:
    """Who holds this lock is the only one to bring the project's sandbox and the store in line."""
    return f"writing {project_id}"
