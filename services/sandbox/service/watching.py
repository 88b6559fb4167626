"""What happens to the files of projects in their sandboxes: one watch a project and replica, however many look.

Who looks is shown the files as they are now, never a list of what happened: whoever is slow misses steps in between
and nothing else, and holds no memory.
"""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field

import structlog

from kit.context import acting_for
from kit.db import Database
from kit.db.listen import Listener
from kit.errors import ServiceError, Unavailable
from kit.tasks import ended
from services.sandbox.model import SITE, Sandbox, Seen, Status
from services.sandbox.repository import Repository
from services.sandbox.service.ignoring import Ignored
from services.sandbox.service.lifecycle import Lifecycle
from services.sandbox.vendor import PathMissing, PathUnfit, SandboxLost, VendorSandbox

_log = structlog.get_logger(__name__)
_RETRY_SECONDS = 1.0
_UNREADABLE = "\ufffd"
"""Stands in a name for what is no UTF-8: such a file can't be asked for."""


@dataclass(frozen=True, slots=True)
class WatchLimits:
    """Seconds; see the settings of the same names."""

    watch_settle_seconds: float
    watch_rescan_seconds: float
    watch_linger_seconds: float
    sync_debounce_seconds: float


@dataclass(frozen=True, slots=True)
class View:
    """A project's files in its sandbox, as they were seen last."""

    number: int
    """Rises with every view of a project."""
    sandbox: Sandbox | None
    """``None`` where none runs."""
    files: Mapping[str, Seen] = field(default_factory=dict)
    """By their paths in the project."""


@dataclass(eq=False, slots=True)
class SiteWatch:
    """A project that is watched."""

    project_id: str
    owner_id: str
    users: int = 0
    left: int = 0
    """How often the last user left."""
    view: View | None = None
    ended: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set with the next view, which has another one."""
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def next(self, seen: int) -> View:
        """The first view, or one that is newer than ``seen``. Raises ``Unavailable`` when the server stops."""
        while self.view is None or self.view.number <= seen:
            if self.ended:
                raise Unavailable("the server is restarting", reason="DRAINING", retry_after=0.5)
            await self.changed.wait()
        return self.view

    def show(self, sandbox: Sandbox | None, files: Mapping[str, Seen]) -> None:
        """Makes this the view, where it is another than the last."""
        last = self.view
        if last is not None and _same(last, sandbox, files):
            return
        self.view = View(last.number + 1 if last else 1, sandbox, files)
        self.wake()

    def wake(self) -> None:
        """Whoever waits looks again."""
        self.changed.set()
        self.changed = asyncio.Event()


Sync = Callable[[Sandbox], Awaitable[bool]]


class Watching:
    """Looks at sandboxes for as long as somebody wants to know, and a while longer."""

    def __init__(
        self,
        database: Database,
        lifecycle: Lifecycle,
        listener: Listener,
        ignored: Ignored,
        limits: WatchLimits,
        sync: Sync,
    ) -> None:
        """``sync`` takes over what has changed; false where it has to be called again."""
        self._database = database
        self._lifecycle = lifecycle
        self._listener = listener
        self._ignored = ignored
        self._limits = limits
        self._sync = sync
        self._sites: dict[str, SiteWatch] = {}
        self._lingering: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def of(self, project_id: str, owner_id: str) -> AsyncIterator[SiteWatch]:
        """Inside of it the project is watched."""
        site = self._sites.get(project_id)
        if site is None:
            site = self._sites[project_id] = SiteWatch(project_id, owner_id)
            site.tasks += [
                asyncio.create_task(self._look_always(site)),
                asyncio.create_task(self._sync_always(site)),
            ]
        site.users += 1
        try:
            yield site
        finally:
            site.users -= 1
            self._leave(site)

    def projects(self) -> set[str]:
        """The projects that are watched now."""
        return set(self._sites)

    async def run(self, stopping: asyncio.Event) -> None:
        """Ends all watches when the server stops."""
        await stopping.wait()
        for task in self._lingering:
            task.cancel()
        for site in list(self._sites.values()):
            site.ended = True
            site.wake()
            await self._end(site)

    def _leave(self, site: SiteWatch) -> None:
        """What goes on by itself, such as a server that a command has started, is looked at a while longer."""
        if not site.users and not site.ended:
            site.left += 1
            task = asyncio.create_task(self._linger(site))
            self._lingering.add(task)
            task.add_done_callback(self._lingering.discard)

    async def _linger(self, site: SiteWatch) -> None:
        left = site.left
        await asyncio.sleep(self._limits.watch_linger_seconds)
        if not site.users and site.left == left:
            await self._end(site)

    async def _end(self, site: SiteWatch) -> None:
        if self._sites.get(site.project_id) is site:
            del self._sites[site.project_id]
        await ended(site.tasks)

    # Looking

    async def _look_always(self, site: SiteWatch) -> None:
        with acting_for(site.owner_id, "sandbox"):
            async with self._listener.wakeups(site.project_id) as told:
                while True:
                    told.clear()
                    sandbox = await self._running(site)
                    if sandbox is None:
                        site.show(None, {})
                        await _either(self._limits.watch_rescan_seconds, told)
                        continue
                    if not await self._looked(site, sandbox, told):
                        await asyncio.sleep(_RETRY_SECONDS)

    async def _running(self, site: SiteWatch) -> Sandbox | None:
        try:
            async with self._database.begin() as connection:
                found = await Repository(connection).running(site.project_id, site.owner_id)
        except ServiceError as exc:
            _log.warning("watch waits", project=site.project_id, error=exc.reason)
            return None
        return found if found is not None and found.status is Status.ACTIVE else None

    async def _looked(self, site: SiteWatch, sandbox: Sandbox, told: asyncio.Event) -> bool:
        """Looks until the sandbox, its folder or the connection is another; false where that did not work."""
        try:
            async with self._lifecycle.told_apart(sandbox):
                await self._follow(site, sandbox, told)
        except SandboxLost:
            with suppress(ServiceError):
                await self._lifecycle.lost(sandbox)
            return False
        except PathMissing:
            # The project's folder is gone: it is filled again.
            return await self._sync(sandbox)
        except (ServiceError, PathUnfit) as exc:
            _log.info("watching again", sandbox=sandbox.sandbox_id, error=type(exc).__name__)
            return False
        except Exception:  # noqa: BLE001 - nobody else is there to be told
            _log.exception("watching again", sandbox=sandbox.sandbox_id)
            return False
        return True

    async def _follow(self, site: SiteWatch, sandbox: Sandbox, told: asyncio.Event) -> None:
        live = await self._lifecycle.connect(sandbox)
        above, name = posixpath.split(SITE)
        async with AsyncExitStack() as watches:
            # A watch goes along with a folder that is moved, and tells nothing of the one that takes its place.
            place = await live.watch(above, lambda path: path == name, deep=False)
            watches.push_async_callback(place.stop)
            watch = await live.watch(SITE, lambda path: not self._ignored.covers(path))
            watches.push_async_callback(watch.stop)
            while not watch.over.is_set() and not place.changed.is_set():
                watch.changed.clear()
                await self._see(site, sandbox, live)
                await _either(self._limits.watch_rescan_seconds, watch.changed, place.changed, told)
                if told.is_set():
                    told.clear()
                    now = await self._running(site)
                    if now is None or now.vendor_id != sandbox.vendor_id:
                        return
                # What comes together is looked at together.
                await asyncio.sleep(self._limits.watch_settle_seconds)

    async def _see(self, site: SiteWatch, sandbox: Sandbox, live: VendorSandbox) -> None:
        scan = await live.scan(SITE, self._ignored.patterns)
        files = {
            path.removeprefix(f"{SITE}/"): seen
            for path, seen in scan.files.items()
            if _UNREADABLE not in path
        }
        site.show(sandbox, files)

    # Taking over

    async def _sync_always(self, site: SiteWatch) -> None:
        seen = 0
        with acting_for(site.owner_id, "sandbox"):
            while True:
                view = await site.next(seen)
                seen = view.number
                if view.sandbox is None:
                    continue
                await asyncio.sleep(self._limits.sync_debounce_seconds)
                if not await self._sync(view.sandbox):
                    # Once more, with whatever is there by then.
                    seen -= 1
                    await asyncio.sleep(_RETRY_SECONDS)


async def _either(seconds: float, *events: asyncio.Event) -> None:
    """Waits for one of the events, at most so long."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


def _same(last: View, sandbox: Sandbox | None, files: Mapping[str, Seen]) -> bool:
    if last.sandbox is None or sandbox is None:
        return last.sandbox is sandbox
    return last.sandbox.vendor_id == sandbox.vendor_id and last.files == files
