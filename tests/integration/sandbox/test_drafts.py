"""Drafts through the service, over the real engine: shown in the preview, and nowhere else."""

from __future__ import annotations

import asyncio

import pytest

from kit.errors import Conflict, Invalid
from kit.testing import eventually
from protos.files.v1 import files_pb2
from services.sandbox.model import DRAFTS, SITE
from services.sandbox.vendor import PathMissing
from tests.fixtures.engine import RunningEngine
from tests.fixtures.postgres import DatabaseUrls
from tests.fixtures.projects import ProjectsService, TestUser
from tests.fixtures.sandbox import Sandboxes, SandboxService, put, running_sandboxes

ORIGIN = files_pb2.WriteOrigin(generation_id="gen-1", epoch=1)
LONGEST = 1024 * 1024


class Site:
    """A project with a sandbox, and what its preview shows."""

    def __init__(self, service: SandboxService, user: TestUser, project_id: str, url: str) -> None:
        self.service = service
        self.id = project_id
        self.url = url
        self.own: Sandboxes = service.as_user(user)
        self.internal: Sandboxes = service.as_service(user)

    async def shows(self, path: str = "/index.html") -> bytes:
        return (await self.service.preview(self.url, path)).content

    async def drafts(self) -> list[str]:
        """What lies among the drafts."""
        vendor_id = (await self.service.row(self.id))["vendor_id"]
        live = await self.service.parts.vendor.connect(vendor_id)
        try:
            return [entry.path for entry in await live.list(DRAFTS, 40)]
        except PathMissing:
            return []


async def site_of(service: SandboxService, projects: ProjectsService) -> Site:
    user = await projects.user()
    project_id = await user.new_project()
    await service.as_user(user).upload(project_id, "index.html", b"old")
    url = (await service.as_user(user).get(project_id)).sandbox_url
    return Site(service, user, project_id, url)


@pytest.fixture
async def site(sandbox_service: SandboxService, projects_service: ProjectsService) -> Site:
    return await site_of(sandbox_service, projects_service)


async def test_a_draft_is_shown_until_the_files_own_write_and_is_nowhere_else(site: Site) -> None:
    before = await site.own.list(site.id)
    await site.internal.draft(site.id, "index.html", b"half")
    assert await site.shows() == b"half"
    assert await site.own.read(site.id, "index.html") == b"old"
    await site.internal.draft(site.id, "css/new.css", b"h1 {}")
    assert await site.shows("/css/new.css") == b"h1 {}"
    assert await site.own.list(site.id) == before
    await site.internal.write(site.id, *put("index.html", b"whole"), origin=ORIGIN)
    assert await site.shows() == b"whole"
    assert await site.own.read(site.id, "index.html") == b"whole"


async def test_a_discard_ends_one_draft_or_all_of_its_generation(site: Site) -> None:
    for path in ("index.html", "a.html", "b.html"):
        await site.internal.draft(site.id, path, b"half")
    await site.internal.draft(site.id, "index.html", discard=True)
    assert await site.shows() == b"old"
    assert await site.shows("/a.html") == b"half"
    await site.internal.draft(site.id, "other.html", b"other", generation_id="gen-2")
    await site.internal.draft(site.id, "", discard=True)
    assert (await site.service.preview(site.url, "/a.html")).status_code == 404
    assert await site.shows("/other.html") == b"other"
    assert await site.drafts() == [f"{DRAFTS}/gen-2", f"{DRAFTS}/gen-2/other.html"]
    # Once more, and of a generation that never had one.
    await site.internal.draft(site.id, "", discard=True)
    await site.internal.draft(site.id, "a.html", generation_id="gen-9", discard=True)


async def test_a_file_that_is_deleted_does_not_come_back_as_its_draft(site: Site) -> None:
    await site.internal.draft(site.id, "new.html", b"half")
    await site.internal.write(site.id, *put("new.html", b"whole"), origin=ORIGIN)
    gone = files_pb2.FileOperation(delete=files_pb2.FileDelete(path="new.html"))
    await site.internal.write(site.id, gone, origin=ORIGIN)
    assert (await site.service.preview(site.url, "/new.html")).status_code == 404


async def test_who_lost_the_lease_shows_and_discards_nothing(site: Site) -> None:
    await site.internal.draft(site.id, "index.html", b"second", epoch=2)
    for discard in (False, True):
        with pytest.raises(Conflict) as found:
            await site.internal.draft(site.id, "index.html", b"first", epoch=1, discard=discard)
        assert found.value.reason == "STALE_EPOCH"
    assert await site.shows() == b"second"


async def test_a_burst_of_drafts_ends_with_the_last(site: Site) -> None:
    sent = []
    for number in range(100):
        sent.append(asyncio.create_task(site.internal.draft(site.id, "index.html", b"%d" % number)))
        await asyncio.sleep(0)
    await asyncio.gather(*sent)
    await site.internal.draft(site.id, "index.html", b"last")
    assert await site.shows() == b"last"
    entries = await site.own.list(site.id, "/home/user/.sandwright")
    assert [path for path in entries if "/in/" in path] == []


async def test_without_a_sandbox_nothing_happens_and_none_is_made(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    caller = sandbox_service.as_service(user)
    await caller.draft(project_id, "index.html", b"half")
    await caller.draft(project_id, "", discard=True)
    assert await sandbox_service.at_vendor() == set()


async def test_a_sandbox_that_is_made_again_has_no_drafts(site: Site) -> None:
    await site.internal.draft(site.id, "index.html", b"half")
    await site.own.close(site.id)
    site.url = (await site.own.create(site.id)).sandbox_url
    assert await site.shows() == b"old"
    assert await site.drafts() == []


async def test_a_draft_of_a_sandbox_that_vanished_is_no_error(site: Site) -> None:
    (vendor_id,) = await site.service.at_vendor()
    await site.service.parts.vendor.kill(vendor_id)
    await site.internal.draft(site.id, "index.html", b"half")


async def test_what_can_not_be_placed_is_not_shown_and_no_error(site: Site) -> None:
    await site.internal.draft(site.id, "a", b"file")
    await site.internal.draft(site.id, "a/b.html", b"below a file")
    assert await site.shows("/a") == b"file"


async def test_the_draft_of_a_dead_writer_vanishes(
    sandbox_urls: DatabaseUrls, projects_service: ProjectsService, engine: RunningEngine
) -> None:
    async with running_sandboxes(
        sandbox_urls, projects_service, engine.url, draft_seconds=0.5
    ) as service:
        site = await site_of(service, projects_service)
        await site.internal.draft(site.id, "index.html", b"half")

        async def old_again() -> bool:
            return await site.shows() == b"old"

        assert await eventually(old_again)


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../../x", "a\\b", "x" * 1025])
async def test_a_bad_path_is_refused(site: Site, path: str) -> None:
    with pytest.raises(Invalid) as found:
        await site.internal.draft(site.id, path, b"x")
    assert [violation.field for violation in found.value.violations] == ["path"]
    assert await site.drafts() == []


async def test_size_and_origin_are_checked(site: Site) -> None:
    await site.internal.draft(site.id, "index.html", b"x" * LONGEST)
    assert await site.shows() == b"x" * LONGEST
    with pytest.raises(Invalid) as found:
        await site.internal.draft(site.id, "index.html", b"x" * (LONGEST + 1))
    assert [violation.field for violation in found.value.violations] == ["content"]
    for name in ("", "../x", "a/b"):
        with pytest.raises(Invalid) as odd:
            await site.internal.draft(site.id, "index.html", b"x", generation_id=name)
        assert [violation.field for violation in odd.value.violations] == ["origin.generation_id"]
    assert set(await site.own.list(site.id, SITE)) == {"index.html"}
