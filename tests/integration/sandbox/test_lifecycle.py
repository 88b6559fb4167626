"""A sandbox from its first use to its end, over the real engine."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from kit.errors import NotFound, QuotaExceeded
from kit.testing import eventually
from protos.projects.v1 import projects_pb2
from protos.sandbox.v1 import sandbox_pb2
from tests.fixtures.engine import RunningEngine
from tests.fixtures.postgres import DatabaseUrls
from tests.fixtures.projects import ProjectsService
from tests.fixtures.sandbox import SandboxService, put, running_sandboxes

ACTIVE = sandbox_pb2.SANDBOX_STATUS_ACTIVE
CLOSED = sandbox_pb2.SANDBOX_STATUS_CLOSED


async def test_a_new_sandbox_answers_on_its_url_and_the_project_shows_it(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    created = await sandbox_service.as_user(user).create(project_id)
    assert created.message == "Sandbox created successfully"
    assert created.status == ACTIVE
    page = await sandbox_service.preview(created.sandbox_url)
    assert page.status_code == 200
    assert "Nothing here yet" in page.text
    project = await user.projects.GetProject(projects_pb2.GetProjectRequest(project_id=project_id))
    assert project.sandbox_id == created.sandbox_id
    assert project.sandbox_status == projects_pb2.SANDBOX_STATUS_ACTIVE
    found = await sandbox_service.as_user(user).get(project_id)
    assert found.sandbox_url == found.preview_url == created.sandbox_url
    assert (found.expires_at.seconds - found.created_at.seconds) == 3600


async def test_creating_again_answers_the_same_sandbox(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    caller = sandbox_service.as_user(user)
    first = await caller.create(project_id)
    assert (await caller.create(project_id)).sandbox_id == first.sandbox_id
    assert len(await sandbox_service.at_vendor()) == 1


async def test_twenty_creations_at_once_on_two_replicas_make_one_sandbox(
    sandbox_service: SandboxService,
    projects_service: ProjectsService,
    sandbox_urls: DatabaseUrls,
    engine: RunningEngine,
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    deployment = sandbox_service.settings.deployment
    async with running_sandboxes(
        sandbox_urls, projects_service, engine.url, deployment=deployment
    ) as other:
        callers = [sandbox_service.as_user(user), other.as_user(user)] * 10
        answers = await asyncio.gather(*(caller.create(project_id) for caller in callers))
        assert len({answer.sandbox_id for answer in answers}) == 1
        assert len({answer.sandbox_url for answer in answers}) == 1
        assert len(await sandbox_service.at_vendor()) == 1


async def test_a_user_has_at_most_so_many_sandboxes_however_fast_they_ask(
    sandbox_urls: DatabaseUrls, projects_service: ProjectsService, engine: RunningEngine
) -> None:
    user = await projects_service.user()
    projects = [await user.new_project() for _ in range(6)]
    async with running_sandboxes(
        sandbox_urls, projects_service, engine.url, max_active_per_user=3
    ) as service:
        caller = service.as_user(user)
        answers = await asyncio.gather(
            *(caller.create(project_id) for project_id in projects), return_exceptions=True
        )
        refused = [answer for answer in answers if isinstance(answer, QuotaExceeded)]
        assert len(refused) == 3
        assert {error.reason for error in refused} == {"SANDBOX_QUOTA"}
        assert refused[0].metadata == {"limit": "3", "used": "3"}
        assert len(await service.at_vendor()) == 3
        made = [answer for answer in answers if not isinstance(answer, BaseException)]
        first = projects[answers.index(made[0])]
        await caller.close(first)
        late = projects[answers.index(refused[0])]
        assert (await caller.create(late)).status == ACTIVE


async def test_closing_ends_it_at_the_vendors_and_is_shown_and_reported(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    caller = sandbox_service.as_user(user)
    created = await caller.create(project_id)
    closed = await caller.close(project_id)
    assert (closed.status, closed.close_reason) == (CLOSED, sandbox_pb2.CLOSE_REASON_USER)
    assert closed.closed_at.seconds
    assert await sandbox_service.at_vendor() == set()
    shown = await caller.get(project_id)
    assert (shown.sandbox_id, shown.status) == (created.sandbox_id, CLOSED)
    project = await user.projects.GetProject(projects_pb2.GetProjectRequest(project_id=project_id))
    assert project.sandbox_id == ""
    assert project.sandbox_status == projects_pb2.SANDBOX_STATUS_INACTIVE
    with pytest.raises(NotFound) as again:
        await caller.close(project_id)
    assert again.value.reason == "SANDBOX_NOT_FOUND"


async def test_a_project_that_never_had_one_has_none(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    with pytest.raises(NotFound) as found:
        await sandbox_service.as_user(user).get(project_id)
    assert found.value.reason == "SANDBOX_NOT_FOUND"


async def test_a_new_sandbox_is_filled_from_the_store(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    caller = sandbox_service.as_user(user)
    binary = bytes(range(256)) * 8192  # 2 MiB
    files = {
        "index.html": b"<!doctype html><title>x</title><h1>Hello</h1>",
        "css/site.css": b"h1 { color: red }",
        "img/empty.svg": b"",
        "img/photo.bin": binary,
        'odd "name" %25 \u00e9\u4e2d.txt': b"odd",
    }
    for path, data in files.items():
        await caller.upload(project_id, path, data)
    await caller.close(project_id)
    created = await caller.create(project_id)
    for path, data in files.items():
        assert await caller.read(project_id, path) == data
    assert (await sandbox_service.preview(created.sandbox_url)).content == files["index.html"]
    assert (await sandbox_service.preview(created.sandbox_url, "/img/photo.bin")).content == binary


async def test_a_sandbox_that_died_is_replaced_by_the_next_write_with_all_files(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    caller = sandbox_service.as_user(user)
    await caller.upload(project_id, "index.html", b"first")
    before = await caller.get(project_id)
    await sandbox_service.parts.vendor.kill((await sandbox_service.row(project_id))["vendor_id"])
    written = await sandbox_service.as_service(user).write(project_id, *put("a.txt", b"second"))
    assert written.sandbox.sandbox_id != before.sandbox_id
    assert written.sandbox.status == ACTIVE
    assert await caller.read(project_id, "index.html") == b"first"
    assert await caller.read(project_id, "a.txt") == b"second"
    rows = await sandbox_service.sql("SELECT * FROM sandboxes ORDER BY sandbox_id")
    assert [row["close_reason"] for row in rows] == ["lost", None]
    project = await user.projects.GetProject(projects_pb2.GetProjectRequest(project_id=project_id))
    assert project.sandbox_id == written.sandbox.sandbox_id


async def test_asking_for_a_sandbox_that_died_makes_a_new_one(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    caller = sandbox_service.as_user(user)
    first = await caller.create(project_id)
    await sandbox_service.parts.vendor.kill((await sandbox_service.row(project_id))["vendor_id"])
    second = await sandbox_service.as_service(user).ensure(project_id, "gen-1")
    assert second.created
    assert second.sandbox.sandbox_id != first.sandbox_id
    again = await sandbox_service.as_service(user).ensure(project_id, "gen-1")
    assert again.created
    other = await sandbox_service.as_service(user).ensure(project_id, "gen-2")
    assert not other.created


async def test_reading_from_a_sandbox_that_died_says_that_there_is_none(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    caller = sandbox_service.as_user(user)
    await caller.upload(project_id, "index.html", b"x")
    await sandbox_service.parts.vendor.kill((await sandbox_service.row(project_id))["vendor_id"])
    with pytest.raises(NotFound) as found:
        await caller.read(project_id, "index.html")
    assert found.value.reason == "SANDBOX_NOT_FOUND"
    assert (await caller.get(project_id)).close_reason == sandbox_pb2.CLOSE_REASON_LOST


async def test_a_preview_server_that_died_is_started_again(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    caller = sandbox_service.as_user(user)
    created = await caller.create(project_id)
    row = await sandbox_service.row(project_id)
    live = await sandbox_service.parts.vendor.connect(row["vendor_id"])
    await live.start(
        "kill $(cat /proc/[0-9]*/cmdline -s >/dev/null; grep -la preview.pyz "
        "/proc/[0-9]*/cmdline | cut -d/ -f3)"
    )

    async def down() -> bool:
        answer = await sandbox_service.preview(created.sandbox_url)
        return answer.status_code == 502

    assert await eventually(down)
    assert (await caller.create(project_id)).sandbox_id == created.sandbox_id
    assert (await sandbox_service.preview(created.sandbox_url)).status_code == 200


async def test_only_the_generation_that_made_a_sandbox_discards_it(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    internal = sandbox_service.as_service(user)
    made = await internal.ensure(project_id, "gen-mine")
    await internal.discard(project_id, "gen-other")
    assert (await internal.get(project_id)).status == ACTIVE
    await internal.discard(project_id, "gen-mine")
    gone = await internal.get(project_id)
    assert (gone.sandbox_id, gone.status) == (made.sandbox.sandbox_id, CLOSED)
    assert gone.close_reason == sandbox_pb2.CLOSE_REASON_FAILED
    await internal.discard(project_id, "gen-mine")


async def test_stats_tell_use_and_time_left(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    caller = sandbox_service.as_user(user)
    await caller.upload(project_id, "index.html", b"12345")
    await caller.upload(project_id, "a/b.txt", b"123")
    stats = await caller.stats(project_id)
    assert stats.status == ACTIVE
    assert (stats.file_count, stats.file_bytes) == (2, 8)
    assert 3500 < stats.seconds_until_expiry <= 3600
    assert stats.cpu_count > 0
    assert stats.memory_total_mib > 0


async def test_a_written_file_is_in_the_preview_and_in_the_store_when_it_is_acknowledged(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    page = b"<!doctype html><title>Bakery</title><h1>Bread</h1>"
    written = await sandbox_service.as_service(user).write(project_id, *put("index.html", page))
    shown = await sandbox_service.preview(written.sandbox.sandbox_url)
    assert shown.content == page
    browser = await sandbox_service.preview(written.sandbox.sandbox_url, Accept="text/html")
    assert b"/__sandwright/live.js" in browser.content
    listed = await user.projects.ListFiles(projects_pb2.ListFilesRequest(project_id=project_id))
    assert [(file.path, file.sha256) for file in listed.files] == [
        ("index.html", hashlib.sha256(page).hexdigest())
    ]
    assert written.result.files[0].sha256 == hashlib.sha256(page).hexdigest()
