"""WatchSandboxFiles over the real engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from kit.errors import FailedPrecondition, NotFound, QuotaExceeded, Unavailable
from kit.testing import eventually
from protos.sandbox.v1 import sandbox_pb2
from services.sandbox.model import SITE, FileChanged, FilesListed
from tests.fixtures.engine import RunningEngine
from tests.fixtures.postgres import DatabaseUrls
from tests.fixtures.projects import ProjectsService
from tests.fixtures.sandbox import running_sandboxes
from tests.fixtures.sandbox_files import BothSides

Event = sandbox_pb2.SandboxFileEvent
SECONDS = 20


class Watcher:
    """A watch that is read in the background, and the files as its events tell them."""

    def __init__(self, events: AsyncIterator[Event]) -> None:
        self.events: list[Event] = []
        self.files: dict[str, int] | None = None
        self._changed = asyncio.Event()
        self.task = asyncio.create_task(self._read(events))

    async def _read(self, events: AsyncIterator[Event]) -> None:
        try:
            async for event in events:
                self.events.append(event)
                self._apply(event)
                self._changed.set()
        finally:
            self._changed.set()

    def _apply(self, event: Event) -> None:
        match event.WhichOneof("event"):
            case "listed":
                self.files = {one.path: one.size_bytes for one in event.listed.files}
            case "gone":
                self.files = None
            case "changed":
                assert self.files is not None
                self.files[event.changed.file.path] = event.changed.file.size_bytes
            case "removed":
                assert self.files is not None
                del self.files[event.removed.path]

    @property
    def kinds(self) -> list[str]:
        return [str(event.WhichOneof("event")) for event in self.events]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(SECONDS):
            while not condition():
                if self.task.done():
                    self.task.result()
                self._changed.clear()
                await self._changed.wait()

    async def shows(self, **files: int) -> None:
        """Waits until the files are these, with their sizes; ``__`` stands for a dot."""
        wanted = {path.replace("__", "."): size for path, size in files.items()}
        await self.until(lambda: self.files == wanted)


@asynccontextmanager
async def watched(project: BothSides) -> AsyncIterator[Watcher]:
    async with aclosing(project.own.watch(project.id)) as events:  # type: ignore[type-var]  # it is a generator
        watcher = Watcher(events)
        try:
            yield watcher
        finally:
            watcher.task.cancel()
            await asyncio.gather(watcher.task, return_exceptions=True)


async def test_all_files_come_first_and_then_what_changes(both_sides: BothSides) -> None:
    await both_sides.own.upload(both_sides.id, "a.txt", b"a")
    async with watched(both_sides) as watcher:
        await watcher.shows(a__txt=1)
        await both_sides.own.upload(both_sides.id, "b.txt", b"bb")
        await watcher.shows(a__txt=1, b__txt=2)
        await both_sides.run("echo -n ccc > c.txt && echo -n AA > a.txt")
        await watcher.shows(a__txt=2, b__txt=2, c__txt=3)
        await both_sides.own.delete(both_sides.id, "b.txt")
        await watcher.shows(a__txt=2, c__txt=3)
        assert watcher.kinds[0] == "listed"
        assert set(watcher.kinds[1:]) == {"changed", "removed"}
        assert [event.sequence for event in watcher.events] == list(
            range(1, len(watcher.events) + 1)
        )
        file = watcher.events[0].listed.files[0]
        assert (file.name, file.type) == ("a.txt", sandbox_pb2.ENTRY_TYPE_FILE)
        assert file.HasField("modified_at")


async def test_what_happens_in_new_and_deep_folders_is_told(both_sides: BothSides) -> None:
    await both_sides.own.create(both_sides.id)
    async with watched(both_sides) as watcher:
        await watcher.shows()
        await both_sides.run("mkdir -p x/y/z && echo -n 1 > x/y/z/deep.txt")
        await watcher.until(lambda: watcher.files == {"x/y/z/deep.txt": 1})
        await both_sides.run("mv x w")
        await watcher.until(lambda: watcher.files == {"w/y/z/deep.txt": 1})
        await both_sides.run("echo -n 22 > w/y/z/deep.txt")
        await watcher.until(lambda: watcher.files == {"w/y/z/deep.txt": 2})
        await both_sides.run("rm -r w")
        await watcher.shows()


@pytest.mark.parametrize(
    "replace",
    [
        "mv site away && mkdir site && echo -n 1 > site/new.txt",
        "mkdir fresh && echo -n 1 > fresh/new.txt && rm -r site && mv fresh site",
    ],
)
async def test_a_project_folder_that_is_replaced_is_watched_and_taken_over(
    both_sides: BothSides, replace: str
) -> None:
    await both_sides.own.upload(both_sides.id, "a.txt", b"a")
    async with watched(both_sides) as watcher:
        await watcher.shows(a__txt=1)
        await both_sides.run(f"cd .. && {replace}")
        await watcher.shows(new__txt=1)
        # Of the new folder, not only of what was in it when it came.
        await both_sides.run("echo -n 22 > later.txt")
        await watcher.shows(new__txt=1, later__txt=2)
        assert await both_sides.has_stored({"new.txt": b"1", "later.txt": b"22"})
    assert await both_sides.inside() == await both_sides.stored()


async def test_what_is_ignored_is_not_told(both_sides: BothSides) -> None:
    await both_sides.own.create(both_sides.id)
    async with watched(both_sides) as watcher:
        await watcher.shows()
        await both_sides.run(
            "mkdir -p node_modules/x .git && touch node_modules/x/y .git/HEAD a.pyc .b.swp"
            " && ln -s /etc/passwd link && echo -n 1 > last.txt"
        )
        await watcher.until(lambda: bool(watcher.files))
        assert watcher.files == {"last.txt": 1}


async def test_a_sandbox_that_goes_is_told_and_the_next_one_is_listed(
    both_sides: BothSides,
) -> None:
    await both_sides.own.upload(both_sides.id, "a.txt", b"a")
    async with watched(both_sides) as watcher:
        await watcher.shows(a__txt=1)
        await both_sides.own.close(both_sides.id)
        await watcher.until(lambda: watcher.kinds[-1] == "gone")
        await both_sides.own.upload(both_sides.id, "b.txt", b"b")
        await watcher.shows(a__txt=1, b__txt=1)
        assert watcher.kinds.count("listed") == 2


async def test_a_sandbox_that_is_lost_is_told_and_the_next_one_is_listed(
    both_sides: BothSides,
) -> None:
    await both_sides.own.upload(both_sides.id, "a.txt", b"a")
    async with watched(both_sides) as watcher:
        await watcher.shows(a__txt=1)
        vendor_id = (await both_sides.live()).vendor_id
        await both_sides.service.parts.vendor.kill(vendor_id)
        await watcher.until(lambda: watcher.kinds[-1] == "gone")
        await both_sides.own.create(both_sides.id)
        await watcher.shows(a__txt=1)


async def test_where_no_sandbox_is_open_there_is_nothing_to_watch(both_sides: BothSides) -> None:
    with pytest.raises(NotFound) as found:
        await anext(both_sides.own.watch(both_sides.id))
    assert found.value.reason == "SANDBOX_NOT_FOUND"


async def test_many_watchers_share_one_watch_and_each_sees_everything(
    both_sides: BothSides, monkeypatch: pytest.MonkeyPatch
) -> None:
    await both_sides.own.create(both_sides.id)
    live = await both_sides.live()
    opened: list[str] = []
    real = type(live).watch

    async def counted(
        self: Any, path: str, heeded: Callable[[str], bool], *, deep: bool = True
    ) -> Any:
        opened.append(path)
        return await real(self, path, heeded, deep=deep)

    monkeypatch.setattr(type(live), "watch", counted)
    async with (
        watched(both_sides) as one,
        watched(both_sides) as two,
        watched(both_sides) as three,
    ):
        watchers = (one, two, three)
        for watcher in watchers:
            await watcher.shows()
        await both_sides.run("echo -n 1 > a.txt")
        for watcher in watchers:
            await watcher.shows(a__txt=1)
    async with watched(both_sides) as late:
        await late.shows(a__txt=1)
    assert opened.count(SITE) == 1


async def test_two_replicas_tell_the_same(
    both_sides: BothSides,
    sandbox_urls: DatabaseUrls,
    projects_service: ProjectsService,
    engine: RunningEngine,
) -> None:
    await both_sides.own.upload(both_sides.id, "a.txt", b"a")
    deployment = both_sides.service.settings.deployment
    async with running_sandboxes(
        sandbox_urls, projects_service, engine.url, deployment=deployment
    ) as other:
        there = BothSides(other, both_sides.user, both_sides.id)
        async with watched(both_sides) as one, watched(there) as two:
            await one.shows(a__txt=1)
            await two.shows(a__txt=1)
            await both_sides.own.upload(both_sides.id, "b.txt", b"b")
            await there.own.upload(both_sides.id, "c.txt", b"c")
            await both_sides.run("echo -n d > d.txt")
            for watcher in (one, two):
                await watcher.shows(a__txt=1, b__txt=1, c__txt=1, d__txt=1)


async def test_who_reads_slowly_is_shown_what_is_there_and_not_all_that_was(
    both_sides: BothSides,
) -> None:
    await both_sides.own.create(both_sides.id)
    events = both_sides.service.parts.file_events.watch(both_sides.id, both_sides.user.user_id)
    async with aclosing(events), watched(both_sides) as quick:
        assert await anext(events) == FilesListed(())
        for number in range(1, 30):
            await both_sides.run(f"echo -n {'x' * number} > busy.txt")
            await quick.shows(busy__txt=number)
        await both_sides.run("echo -n 1 > last.txt")
        await quick.shows(busy__txt=29, last__txt=1)
        told = []
        for _ in range(2):
            event = await anext(events)
            assert isinstance(event, FileChanged)
            told.append((event.path, event.seen.size_bytes))
        assert told == [("busy.txt", 29), ("last.txt", 1)]


async def test_more_files_than_a_listing_has_are_refused(
    sandbox_urls: DatabaseUrls, projects_service: ProjectsService, engine: RunningEngine
) -> None:
    user = await projects_service.user()
    async with running_sandboxes(
        sandbox_urls, projects_service, engine.url, max_listed_entries=3
    ) as service:
        project = BothSides(service, user, await user.new_project())
        await project.own.create(project.id)
        await project.run("touch 1 2 3")
        async with watched(project) as watcher:
            await watcher.until(lambda: len(watcher.files or ()) == 3)
            await project.run("touch 4")
            with pytest.raises(FailedPrecondition) as found:
                await asyncio.wait_for(watcher.task, SECONDS)
        assert (found.value.reason, found.value.metadata) == ("TOO_MANY_ENTRIES", {"limit": "3"})


async def test_watches_of_a_user_are_limited_and_one_that_ends_makes_room(
    sandbox_urls: DatabaseUrls, projects_service: ProjectsService, engine: RunningEngine
) -> None:
    user, other = await projects_service.user(), await projects_service.user()
    async with running_sandboxes(
        sandbox_urls, projects_service, engine.url, max_watches_per_user=2
    ) as service:
        one = BothSides(service, user, await user.new_project())
        two = BothSides(service, user, await user.new_project())
        others = BothSides(service, other, await other.new_project())
        for project in (one, two, others):
            await project.own.create(project.id)
        async with watched(one) as first, watched(others) as apart:
            async with watched(two) as second:
                await first.shows()
                await second.shows()
                async with watched(two) as third:
                    with pytest.raises(QuotaExceeded) as found:
                        await asyncio.wait_for(third.task, SECONDS)
                assert found.value.reason == "WATCHES"
                assert found.value.metadata == {"limit": "2", "used": "2"}
                assert found.value.retry_after
                await apart.shows()
                await two.own.upload(two.id, "a", b"")
                await second.shows(a=0)

            async def has_room() -> bool:
                async with watched(two) as again:
                    try:
                        await again.shows(a=0)
                    except QuotaExceeded:
                        return False
                return True

            # The service is told of the end of a call a moment later.
            assert await eventually(has_room)


async def test_a_watch_ends_with_the_call_and_when_the_server_stops(
    sandbox_urls: DatabaseUrls, projects_service: ProjectsService, engine: RunningEngine
) -> None:
    user = await projects_service.user()
    async with running_sandboxes(
        sandbox_urls, projects_service, engine.url, watch_linger_seconds=0
    ) as service:
        project = BothSides(service, user, await user.new_project())
        await project.own.create(project.id)
        async with watched(project) as watcher:
            await watcher.shows()
            assert service.parts.watching.projects() == {project.id}
        assert await eventually(lambda: not service.parts.watching.projects())
        events = project.own.watch(project.id)
        await anext(events)
        service.parts.application.stopping.set()
        with pytest.raises(Unavailable) as found:
            await anext(events)
        assert found.value.reason == "DRAINING"
