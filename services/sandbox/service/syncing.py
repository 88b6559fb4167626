"""From a sandbox into the store: what commands and servers make, change and remove in the project's folder.

All of our own writes and every reset of the store leave a note (the sandbox is unsettled) until sandbox and store hold
the same. So where there is no note, whatever differs was done inside, and is taken over as an edit of the user's. Where
there is one, nothing is taken over: the sandbox may be half filled or old, and the store is the truth. A reset of
which the note is still on its way is noticed by the store itself, which refuses a write that does not know of it.

Of two writers of one file the later one wins. What is done inside while a reset is on its way to the sandbox goes with
what was reset. A project's folder that is missing is filled again, and never taken for a project without files.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack, aclosing, nullcontext, suppress
from dataclasses import dataclass, field

import structlog

from kit.context import acting_for
from kit.db import Database
from kit.errors import FailedPrecondition, Invalid, QuotaExceeded, ServiceError
from kit.paths import checked_path
from services.sandbox.change_repository import ChangeRepository
from services.sandbox.locks import Locks
from services.sandbox.model import (
    SITE,
    Content,
    Delete,
    Origin,
    Put,
    Sandbox,
    Scan,
    Seen,
    Status,
    Step,
    StoredFile,
)
from services.sandbox.projects_peer import ProjectsPeer
from services.sandbox.repository import Repository
from services.sandbox.service.filling import site_path
from services.sandbox.service.ignoring import Ignored
from services.sandbox.service.lifecycle import Lifecycle
from services.sandbox.service.writing import Writing, lock_name
from services.sandbox.vendor import PathMissing, PathUnfit, SandboxLost, VendorSandbox
from services.sandbox.writing_repository import WritingRepository

_log = structlog.get_logger(__name__)
_REMEMBERED = 500
_MEMORY_BYTES = 256 * 1024
_TRIES, _TRY_SECONDS = 10, 0.3
_LEAVING_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class SyncLimits:
    """What is taken over at most."""

    file_bytes: int
    files: int
    total_bytes: int
    timeout_seconds: float


@dataclass(slots=True)
class _Memory:
    """What is known of one sandbox, to save work: nothing depends on it."""

    hashes: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By path: the mark that a file had when it was hashed, and its hash."""
    told: frozenset[str] = frozenset()
    """What was said to be left out."""


@dataclass(frozen=True, slots=True)
class _Turn:
    """One comparison."""

    sandbox: Sandbox
    live: VendorSandbox
    change: int
    """The last change of projects that this service has noted."""


class _Moving(Exception):
    """A file was changed while it was read."""


class _Unsettled(Exception):
    """The store is the truth: the sandbox has to be brought in line first."""


class Syncing:
    """Takes over what was done inside sandboxes."""

    def __init__(
        self,
        database: Database,
        locks: Locks,
        projects: ProjectsPeer,
        lifecycle: Lifecycle,
        writing: Writing,
        ignored: Ignored,
        limits: SyncLimits,
    ) -> None:
        """``ignored`` is not taken over."""
        self._database = database
        self._locks = locks
        self._projects = projects
        self._lifecycle = lifecycle
        self._writing = writing
        self._ignored = ignored
        self._limits = limits
        self._memories: OrderedDict[str, _Memory] = OrderedDict()

    async def finish(self, sandbox: Sandbox) -> None:
        """Returns when the store has what was done inside so far, or when that is not to be had. Raises nothing."""
        for _ in range(_TRIES):
            if await self.sync(sandbox):
                return
            await asyncio.sleep(_TRY_SECONDS)
        _log.warning("not taken over yet", sandbox=sandbox.sandbox_id)

    async def before_closing(self, project_id: str, owner_id: str) -> None:
        """As ``before_leaving``, of the project's sandbox, where one is open."""
        try:
            async with self._database.begin() as connection:
                found = await Repository(connection).opened(project_id, owner_id)
        except ServiceError as exc:
            _log.warning("not taken over", project=project_id, error=type(exc).__name__)
            return
        if found is not None:
            await self.before_leaving(found)

    async def before_leaving(self, sandbox: Sandbox, *, writing: bool = False) -> None:
        """Takes over what nobody has seen yet of a sandbox that is about to sleep or to end. Raises nothing.

        ``writing``: who asks has the project's files to itself already.
        """
        try:
            async with asyncio.timeout(_LEAVING_SECONDS):
                # Not an event to be waited for: what is inside moves on by itself.
                while not await self.sync(sandbox, writing=writing):  # noqa: ASYNC110
                    await asyncio.sleep(_TRY_SECONDS)
        except TimeoutError:
            _log.warning("not taken over", sandbox=sandbox.sandbox_id)

    async def sync(self, sandbox: Sandbox, *, writing: bool = False) -> bool:
        """Takes over what was done inside; false where it has to be looked at again. Raises nothing.

        ``writing``: who asks has the project's files to itself already.
        """
        with acting_for(sandbox.owner_id, "sandbox"):
            try:
                return await self._synced(sandbox, writing=writing)
            except _Unsettled:
                # Who writes brings it in line.
                return writing or await self._aligned(sandbox)

    async def _aligned(self, sandbox: Sandbox) -> bool:
        try:
            await self._writing.align(sandbox.project_id, sandbox.owner_id)
        except Exception as exc:  # noqa: BLE001 - noted, so it is tried again; in the background nobody else would tell
            _log.warning("not aligned", sandbox=sandbox.sandbox_id, error=type(exc).__name__)
        return False

    async def _synced(self, sandbox: Sandbox, *, writing: bool) -> bool:
        alone = nullcontext() if writing else self._locks.hold(lock_name(sandbox.project_id))
        try:
            async with asyncio.timeout(self._limits.timeout_seconds), alone:
                turn = await self._begun(sandbox)
                return turn is None or await self._taken_over(turn)
        except _Unsettled:
            raise
        except SandboxLost:
            return True
        except (_Moving, PathMissing, PathUnfit):
            return False
        except FailedPrecondition as exc:
            _log.info("looked at again", sandbox=sandbox.sandbox_id, reason=exc.reason)
            return False
        except (Invalid, QuotaExceeded) as exc:
            _log.warning(
                "the store refuses what a sandbox has",
                sandbox=sandbox.sandbox_id,
                reason=exc.reason,
                **exc.metadata,
            )
            return True
        except (ServiceError, TimeoutError) as exc:
            _log.warning("not taken over", sandbox=sandbox.sandbox_id, error=type(exc).__name__)
            return False
        except Exception:  # noqa: BLE001 - in the background nobody else would tell
            _log.exception("not taken over", sandbox=sandbox.sandbox_id)
            return True

    async def _begun(self, sandbox: Sandbox) -> _Turn | None:
        """``None`` where the sandbox is another now."""
        async with self._database.begin() as connection:
            repository = Repository(connection)
            # In this order: a reset is noted at the sandbox before it counts as noted.
            changes = ChangeRepository(connection)
            change = await changes.cursor()
            # Also one whose time is over: until it is closed, what was done inside counts.
            now = (await repository.by_ids([sandbox.sandbox_id])).get(sandbox.sandbox_id)
            waits = await changes.waits(sandbox.project_id)
        if now is None or now.status is not Status.ACTIVE or now.vendor_id != sandbox.vendor_id:
            return None
        if now.unsettled or waits:
            raise _Unsettled
        return _Turn(now, await self._lifecycle.connect(now), change)

    async def _taken_over(self, turn: _Turn) -> bool:
        scan = await self._scanned(turn)
        stored = await self._projects.list(turn.sandbox.project_id)
        memory = self._memory(turn.sandbox)
        files = self._fit(turn.sandbox, memory, scan, stored)
        hashes = await self._hashes(turn.live, memory, files)
        changed = [
            path
            for path in files
            if path in hashes and (path not in stored or stored[path].sha256 != hashes[path])
        ]
        gone = self._gone(scan, stored)
        if not changed and not gone:
            return True
        async with AsyncExitStack() as contents:
            steps: list[Step] = [Delete(path, stored[path].sha256) for path in gone]
            for path in changed:
                content = await self._fetched(turn.live, path, hashes[path])
                contents.callback(content.close)
                expected = stored[path].sha256 if path in stored else ""
                steps.append(Put(path, content, expected))
            await self._put(turn, steps)
        _log.info(
            "taken over", sandbox=turn.sandbox.sandbox_id, changed=len(changed), removed=len(gone)
        )
        return True

    async def _scanned(self, turn: _Turn) -> Scan:
        """What the project's folder holds. Raises ``_Unsettled`` where it is gone."""
        with suppress(PathMissing):
            return await turn.live.scan(SITE, self._ignored.patterns)
        # A folder that is put in the place of another is away for a moment.
        await asyncio.sleep(_TRY_SECONDS)
        try:
            return await turn.live.scan(SITE, self._ignored.patterns)
        except PathMissing as exc:
            async with self._database.begin() as connection:
                await WritingRepository(connection).unsettle(turn.sandbox.sandbox_id)
            raise _Unsettled from exc

    async def _put(self, turn: _Turn, steps: list[Step]) -> None:
        ready = asyncio.Event()
        ready.set()
        await self._projects.put(
            turn.sandbox.project_id, Origin(), steps, ready, seen_change=turn.change
        )
        async with self._database.begin() as connection:
            repository = Repository(connection)
            now = await repository.opened(turn.sandbox.project_id, turn.sandbox.owner_id)
            if now is not None and now.vendor_id != turn.sandbox.vendor_id:
                # Another one has come meanwhile, and was perhaps filled before.
                await WritingRepository(connection).unsettle(now.sandbox_id)

    def _fit(
        self, sandbox: Sandbox, memory: _Memory, scan: Scan, stored: Mapping[str, StoredFile]
    ) -> dict[str, Seen]:
        """The files that the store can have, by path: first those that it has already, the rest by name."""
        seen = {path.removeprefix(f"{SITE}/"): one for path, one in scan.files.items()}
        found: dict[str, Seen] = {}
        left_out: set[str] = set()
        size = 0
        for path in sorted(seen, key=lambda one: (one not in stored, one)):
            size += seen[path].size_bytes
            if (
                seen[path].size_bytes > self._limits.file_bytes
                or len(found) >= self._limits.files
                or size > self._limits.total_bytes
                or not _is_fit(path)
            ):
                size -= seen[path].size_bytes
                left_out.add(path)
            else:
                found[path] = seen[path]
        if left_out - memory.told:
            _log.warning(
                "files are left out",
                sandbox=sandbox.sandbox_id,
                count=len(left_out),
                first=min(left_out),
            )
        memory.told = frozenset(left_out)
        return found

    def _gone(self, scan: Scan, stored: Iterable[str]) -> list[str]:
        """What the store has and the sandbox has not: neither as a file nor as something else."""
        if not scan.complete:
            return []
        there = {*scan.files, *scan.others}
        return [
            path
            for path in stored
            if site_path(path) not in there and not self._ignored.covers(path)
        ]

    async def _hashes(
        self, live: VendorSandbox, memory: _Memory, files: Mapping[str, Seen]
    ) -> dict[str, str]:
        known = {
            path: memory.hashes[path]
            for path, seen in files.items()
            if path in memory.hashes and memory.hashes[path][0] == seen.mark
        }
        unknown = [site_path(path) for path in files if path not in known]
        for place, sha256 in (await live.hashes_of(unknown)).items():
            path = place.removeprefix(f"{SITE}/")
            known[path] = (files[path].mark, sha256)
        memory.hashes = known
        return {path: sha256 for path, (_, sha256) in known.items()}

    async def _fetched(self, live: VendorSandbox, path: str, sha256: str) -> Content:
        """The file's content, as it was hashed. Raises ``_Moving`` where it is another by now."""
        # Handed on with the content, or closed here.
        spool = tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES)  # noqa: SIM115
        digest, size = hashlib.sha256(), 0
        try:
            async with aclosing(await live.read(site_path(path))) as pieces:
                async for piece in pieces:
                    digest.update(piece)
                    size += len(piece)
                    if size > self._limits.file_bytes:
                        raise _Moving
                    spool.write(piece)
            if digest.hexdigest() != sha256:
                raise _Moving
        except BaseException:
            spool.close()
            raise
        return Content(spool, size)

    def _memory(self, sandbox: Sandbox) -> _Memory:
        found = self._memories.setdefault(sandbox.vendor_id, _Memory())
        self._memories.move_to_end(sandbox.vendor_id)
        while len(self._memories) > _REMEMBERED:
            self._memories.popitem(last=False)
        return found


def _is_fit(path: str) -> bool:
    try:
        checked_path(path)
    except Invalid:
        return False
    # Stands for what is no UTF-8: such a file can't be asked for.
    return "\ufffd" not in path
