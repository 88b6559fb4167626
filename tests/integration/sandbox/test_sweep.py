"""What a sweep finds and mends, and what follows projects' change log, over the real engine."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from pathlib import Path

import pytest

from kit.errors import NotFound
from kit.testing import eventually
from protos.projects.v1 import projects_pb2
from protos.sandbox.v1 import sandbox_pb2
from services.sandbox.model import SITE
from tests.fixtures.engine import RunningEngine
from tests.fixtures.postgres import DatabaseUrls, Postgres
from tests.fixtures.projects import ProjectsService, TestUser, running_projects
from tests.fixtures.sandbox import SandboxService, put, running_sandboxes

INACTIVE = projects_pb2.SANDBOX_STATUS_INACTIVE


async def shown(user: TestUser, project_id: str) -> projects_pb2.Project:
    return await user.projects.GetProject(projects_pb2.GetProjectRequest(project_id=project_id))


async def test_an_expired_sandbox_is_closed_and_its_row_and_project_say_so(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    caller = sandbox_service.as_user(user)
    await caller.create(project_id)
    await sandbox_service.parts.sweep.once()
    assert (await caller.get(project_id)).status == sandbox_pb2.SANDBOX_STATUS_ACTIVE
    await sandbox_service.sql("UPDATE sandboxes SET expires_at = now()")
    await sandbox_service.parts.sweep.once()
    closed = await caller.get(project_id)
    assert closed.status == sandbox_pb2.SANDBOX_STATUS_CLOSED
    assert closed.close_reason == sandbox_pb2.CLOSE_REASON_EXPIRED
    assert await sandbox_service.at_vendor() == set()
    assert (await shown(user, project_id)).sandbox_status == INACTIVE


async def test_an_expired_sandbox_is_replaced_before_any_sweep(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    caller = sandbox_service.as_user(user)
    first = await caller.create(project_id)
    await caller.upload(project_id, "index.html", b"kept")
    await sandbox_service.sql("UPDATE sandboxes SET expires_at = now()")
    with pytest.raises(NotFound):
        await caller.list(project_id)
    second = await caller.create(project_id)
    assert second.sandbox_id != first.sandbox_id
    assert await caller.read(project_id, "index.html") == b"kept"
    assert len(await sandbox_service.at_vendor()) == 1


async def test_the_vendor_is_told_when_a_sandbox_ends(
    sandbox_urls: DatabaseUrls, projects_service: ProjectsService, engine: RunningEngine
) -> None:
    async with running_sandboxes(
        sandbox_urls,
        projects_service,
        engine.url,
        lifetime_seconds=1,
        vendor_grace_seconds=0,
    ) as service:
        user = await projects_service.user()
        project_id = await user.new_project()
        await service.as_user(user).create(project_id)

        async def gone() -> bool:
            return not await service.at_vendor()

        # No sweep runs: a service that died leaves nothing behind.
        assert await eventually(gone)


async def test_a_sandbox_that_nobody_knows_is_ended_and_others_are_left_alone(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    await sandbox_service.as_user(user).create(project_id)
    known = await sandbox_service.at_vendor()
    vendor, deployment = sandbox_service.parts.vendor, sandbox_service.settings.deployment
    labels = {"sandwright_deployment": deployment, "sandwright_sandbox": "sbx-unknown"}
    await vendor.create(labels, 300, secrets.token_hex(8))
    second = {**labels, "sandwright_sandbox": (await sandbox_service.row(project_id))["sandbox_id"]}
    await vendor.create(second, 300, secrets.token_hex(8))
    foreign = await vendor.create({"sandwright_deployment": "other"}, 300, secrets.token_hex(8))
    await sandbox_service.parts.sweep.once()
    assert await sandbox_service.at_vendor() == known
    assert await vendor.exists(foreign.vendor_id)
    await vendor.kill(foreign.vendor_id)


async def test_a_sandbox_that_vanished_is_noted(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    caller = sandbox_service.as_user(user)
    await caller.create(project_id)
    await sandbox_service.parts.vendor.kill((await sandbox_service.row(project_id))["vendor_id"])
    await sandbox_service.parts.sweep.once()
    assert (await caller.get(project_id)).close_reason == sandbox_pb2.CLOSE_REASON_LOST
    assert (await shown(user, project_id)).sandbox_status == INACTIVE


async def test_a_creator_that_died_leaves_nothing_behind(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    row = await dead_creator(sandbox_service, user, project_id)
    await sandbox_service.parts.sweep.once()
    closed = await sandbox_service.as_user(user).get(project_id)
    assert closed.sandbox_id == row
    assert closed.close_reason == sandbox_pb2.CLOSE_REASON_FAILED
    assert await sandbox_service.at_vendor() == set()


async def test_who_asks_after_a_creator_died_goes_on_in_its_place(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    row = await dead_creator(sandbox_service, user, project_id)
    left = await sandbox_service.at_vendor()
    created = await sandbox_service.as_user(user).create(project_id)
    assert created.sandbox_id == row
    now = await sandbox_service.at_vendor()
    assert len(now) == 1
    assert not now & left


async def dead_creator(service: SandboxService, user: TestUser, project_id: str) -> str:
    """What a process leaves that was killed after the vendor had answered and before it noted the answer."""
    sandbox_id = "sbx-00000000000000000000000000"
    await service.sql(
        "INSERT INTO sandboxes (sandbox_id, project_id, owner_id, status, attempt_until, expires_at)"
        " VALUES (:id, :project, :owner, 'creating', now() - interval '1 s', now() + interval '1 h')",
        id=sandbox_id,
        project=project_id,
        owner=user.user_id,
    )
    labels = {
        "sandwright_deployment": service.settings.deployment,
        "sandwright_project": project_id,
        "sandwright_sandbox": sandbox_id,
    }
    await service.parts.vendor.create(labels, 300, f"{sandbox_id}-1")
    assert len(await service.at_vendor()) == 1
    return sandbox_id


async def test_a_sandbox_that_is_being_made_is_left_alone_by_the_sweep(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    making = asyncio.create_task(sandbox_service.as_user(user).create(project_id))
    while not making.done():
        await sandbox_service.parts.sweep.once()
    created = await making
    await sandbox_service.parts.sweep.once()
    assert (await sandbox_service.preview(created.sandbox_url)).status_code == 200


async def test_reports_that_failed_are_sent_by_the_sweep(
    postgres: Postgres, key_folder: Path, engine: RunningEngine
) -> None:
    urls = await postgres.fresh_async()
    async with running_projects(urls, key_folder) as projects:
        user = await projects.user()
        project_id = await user.new_project()
        async with running_sandboxes(urls, projects, engine.url) as service:
            await service.as_user(user).create(project_id)
            assert (await shown(user, project_id)).sandbox_id
            # As if the report of an earlier change had not come through.
            await service.sql("UPDATE reports SET reported_revision = 0, revision = revision + 1")
            await service.sql("UPDATE sandboxes SET status = 'closed', close_reason = 'user'")
            await service.parts.sweep.once()
            assert not (await shown(user, project_id)).sandbox_id
            left = await service.sql("SELECT 1 FROM reports WHERE reported_revision < revision")
            assert left == []


async def test_a_write_that_was_cut_off_is_made_good_by_the_sweep(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    caller = sandbox_service.as_user(user)
    await caller.upload(project_id, "index.html", b"first")
    await sandbox_service.sql("UPDATE sandboxes SET unsettled = true")
    live = await sandbox_service.parts.vendor.connect(
        (await sandbox_service.row(project_id))["vendor_id"]
    )
    await live.remove(f"{SITE}/index.html")
    await sandbox_service.parts.sweep.once()
    assert await caller.read(project_id, "index.html") == b"first"
    assert not (await sandbox_service.row(project_id))["unsettled"]


async def test_a_deleted_projects_sandbox_is_ended_and_forgotten(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id, other = await user.new_project(), await user.new_project()
    caller = sandbox_service.as_user(user)
    await caller.create(project_id)
    kept = await caller.create(other)
    await user.projects.DeleteProject(projects_pb2.DeleteProjectRequest(project_id=project_id))

    async def forgotten() -> bool:
        rows = await sandbox_service.sql("SELECT project_id FROM sandboxes")
        return [row["project_id"] for row in rows] == [other] and len(
            await sandbox_service.at_vendor()
        ) == 1

    assert await eventually(forgotten)
    with pytest.raises(NotFound) as found:
        await caller.create(project_id)
    assert found.value.reason == "PROJECT_NOT_FOUND"
    assert (await caller.get(other)).sandbox_id == kept.sandbox_id


async def test_files_that_went_back_to_a_version_go_back_in_the_sandbox_too(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    internal = sandbox_service.as_service(user)
    await internal.write(project_id, *put("index.html", b"one"), *put("css/a.css", b"a"))
    committed = projects_pb2.CommitVersionRequest(
        project_id=project_id, cause=projects_pb2.VERSION_CAUSE_EDIT
    )
    await user.internal.CommitVersion(committed)
    written = await internal.write(
        project_id, *put("index.html", b"two"), *put("js/new.js", b"new")
    )
    failed = projects_pb2.CommitVersionRequest(
        project_id=project_id,
        cause=projects_pb2.VERSION_CAUSE_EDIT,
        partial=True,
        keep_head=True,
    )
    await user.internal.CommitVersion(failed)
    live = await sandbox_service.parts.vendor.connect(
        (await sandbox_service.row(project_id))["vendor_id"]
    )
    expected = {
        f"{SITE}/index.html": hashlib.sha256(b"one").hexdigest(),
        f"{SITE}/css/a.css": hashlib.sha256(b"a").hexdigest(),
    }

    async def back() -> bool:
        return await live.hashes(SITE) == expected

    assert await eventually(back)
    assert set(await internal.list(project_id)) == {"index.html", "css", "css/a.css"}
    assert (await sandbox_service.preview(written.sandbox.sandbox_url)).content == b"one"


async def test_changes_are_followed_from_where_the_last_run_stopped(
    postgres: Postgres, key_folder: Path, engine: RunningEngine
) -> None:
    urls = await postgres.fresh_async()
    async with running_projects(urls, key_folder) as projects:
        user = await projects.user()
        first, second = await user.new_project(), await user.new_project()
        async with running_sandboxes(urls, projects, engine.url) as service:
            deployment = service.settings.deployment
            await service.as_user(user).create(first)
            await user.projects.DeleteProject(projects_pb2.DeleteProjectRequest(project_id=first))

            async def applied() -> bool:
                return bool(await service.sql("SELECT 1 FROM cursors WHERE sequence > 0"))

            assert await eventually(applied)
            await service.as_user(user).create(second)
        # While nobody follows.
        await user.projects.DeleteProject(projects_pb2.DeleteProjectRequest(project_id=second))
        async with running_sandboxes(urls, projects, engine.url, deployment=deployment) as again:

            async def empty() -> bool:
                return not await again.sql("SELECT 1 FROM sandboxes")

            assert await eventually(empty)
