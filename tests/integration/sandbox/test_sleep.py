"""Sandboxes that sleep and wake, over the real engine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from kit.errors import NotFound, QuotaExceeded
from kit.testing import eventually
from protos.projects.v1 import projects_pb2
from protos.sandbox.v1 import sandbox_pb2
from services.sandbox.vendor import VendorState
from tests.fixtures.engine import RunningEngine, start_engine
from tests.fixtures.postgres import DatabaseUrls
from tests.fixtures.project_files import write_files
from tests.fixtures.projects import ProjectsService, TestUser
from tests.fixtures.sandbox import SandboxService, put, running_sandboxes

ACTIVE = sandbox_pb2.SANDBOX_STATUS_ACTIVE
PAUSED = sandbox_pb2.SANDBOX_STATUS_PAUSED
CLOSED = sandbox_pb2.SANDBOX_STATUS_CLOSED


async def shown(user: TestUser, project_id: str) -> projects_pb2.Project:
    return await user.projects.GetProject(projects_pb2.GetProjectRequest(project_id=project_id))


async def keep(user: TestUser, project_id: str, *, persistent: bool = True) -> None:
    request = projects_pb2.UpdateProjectRequest(
        project_id=project_id, persistent_sandbox=persistent
    )
    await user.projects.UpdateProject(request)


async def vendor_state(service: SandboxService, project_id: str) -> VendorState:
    vendor_id = (await service.row(project_id))["vendor_id"]
    return await service.parts.vendor.state(vendor_id)


async def open_intervals(service: SandboxService) -> int:
    found = await service.sql("SELECT count(*) AS n FROM intervals WHERE ended_at IS NULL")
    return int(found[0]["n"])


async def test_a_paused_sandbox_keeps_its_id_and_files_and_its_time_stands_still(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    caller = sandbox_service.as_user(user)
    created = await caller.create(project_id)
    await caller.upload(project_id, "index.html", b"kept")
    vendor_id = (await sandbox_service.row(project_id))["vendor_id"]
    live = await sandbox_service.parts.vendor.connect(vendor_id)
    await live.make_folder("/home/user/beside")
    paused = await caller.pause(project_id)
    assert (paused.sandbox_id, paused.status) == (created.sandbox_id, PAUSED)
    assert paused.paused_at.seconds
    assert not paused.HasField("expires_at")
    assert await vendor_state(sandbox_service, project_id) is VendorState.PAUSED
    assert (await shown(user, project_id)).sandbox_status == projects_pb2.SANDBOX_STATUS_PAUSED
    assert await open_intervals(sandbox_service) == 0
    again = await caller.pause(project_id)
    assert again == paused
    # As if it had slept for a day.
    await sandbox_service.sql("UPDATE sandboxes SET expires_at = now() - interval '1 day'")
    await sandbox_service.parts.sweep.once()
    assert (await caller.get(project_id)).status == PAUSED
    resumed = await caller.resume(project_id)
    assert (resumed.sandbox_id, resumed.status) == (created.sandbox_id, ACTIVE)
    assert not resumed.HasField("paused_at")
    row = await sandbox_service.row(project_id)
    assert row["vendor_id"] == vendor_id
    assert 3500 < (row["expires_at"] - row["started_at"]).total_seconds() <= 3600
    assert await caller.read(project_id, "index.html") == b"kept"
    assert "/home/user/beside" in await caller.list(project_id, "/home/user")
    assert (await sandbox_service.preview(resumed.sandbox_url)).content == b"kept"
    assert (await shown(user, project_id)).sandbox_status == projects_pb2.SANDBOX_STATUS_ACTIVE
    assert await open_intervals(sandbox_service) == 1


async def test_every_use_wakes_a_sandbox_and_all_who_use_it_at_once_wake_one(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    caller, internal = sandbox_service.as_user(user), sandbox_service.as_service(user)
    await caller.upload(project_id, "index.html", b"one")
    first = (await sandbox_service.row(project_id))["sandbox_id"]
    uses: dict[str, Callable[[], Awaitable[object]]] = {
        "read": lambda: caller.read(project_id, "index.html"),
        "list": lambda: caller.list(project_id),
        "write": lambda: internal.write(project_id, *put("a.txt", b"a")),
        "upload": lambda: caller.upload(project_id, "b.txt", b"b"),
        "create": lambda: caller.create(project_id),
        "ensure": lambda: internal.ensure(project_id),
        "extend": lambda: caller.extend(project_id, 60),
    }
    for use in uses.values():
        await caller.pause(project_id)
        await use()
        assert (await caller.get(project_id)).status == ACTIVE
    await caller.pause(project_id)
    attempt = (await sandbox_service.row(project_id))["attempt"]
    await asyncio.gather(*(use() for use in uses.values()))
    row = await sandbox_service.row(project_id)
    assert (row["sandbox_id"], row["attempt"]) == (first, attempt + 1)
    assert len(await sandbox_service.at_vendor()) == 1
    assert {"index.html", "a.txt", "b.txt"} <= set(await caller.list(project_id))


async def test_a_waking_sandbox_is_what_the_store_is_now(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    caller = sandbox_service.as_user(user)
    await caller.upload(project_id, "index.html", b"old")
    await caller.upload(project_id, "same.txt", b"same")
    await caller.pause(project_id)
    await write_files(user.internal, project_id, {"index.html": b"new", "more.txt": b"more"})
    assert await caller.read(project_id, "index.html") == b"new"
    assert await caller.read(project_id, "same.txt") == b"same"
    assert await caller.read(project_id, "more.txt") == b"more"


async def test_a_sleeping_sandbox_that_the_vendor_lost_is_made_anew_under_its_id(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    caller = sandbox_service.as_user(user)
    await caller.upload(project_id, "index.html", b"kept")
    paused = await caller.pause(project_id)
    vendor_id = (await sandbox_service.row(project_id))["vendor_id"]
    await sandbox_service.parts.vendor.kill(vendor_id)
    counts = await sandbox_service.parts.sweep.once()
    assert counts.lost == 1
    row = await sandbox_service.row(project_id)
    assert (row["status"], row["vendor_id"]) == ("paused", "")
    resumed = await caller.resume(project_id)
    assert (resumed.sandbox_id, resumed.status) == (paused.sandbox_id, ACTIVE)
    assert (await sandbox_service.row(project_id))["vendor_id"] != vendor_id
    assert (await sandbox_service.preview(resumed.sandbox_url)).content == b"kept"
    # The same without a sweep in between.
    await caller.pause(project_id)
    await sandbox_service.parts.vendor.kill((await sandbox_service.row(project_id))["vendor_id"])
    assert await caller.read(project_id, "index.html") == b"kept"
    assert (await caller.get(project_id)).sandbox_id == paused.sandbox_id
    assert len(await sandbox_service.at_vendor()) == 1


async def test_an_active_sandbox_that_the_vendor_put_to_sleep_wakes_with_the_next_use(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    caller = sandbox_service.as_user(user)
    await caller.upload(project_id, "index.html", b"kept")
    vendor = sandbox_service.parts.vendor
    vendor_id = (await sandbox_service.row(project_id))["vendor_id"]
    first = (await caller.get(project_id)).sandbox_id
    await vendor.pause(vendor_id)
    assert await caller.read(project_id, "index.html") == b"kept"
    await vendor.pause(vendor_id)
    await sandbox_service.as_service(user).write(project_id, *put("a.txt", b"a"))
    await vendor.pause(vendor_id)
    assert (await caller.create(project_id)).sandbox_id == first
    await vendor.pause(vendor_id)
    counts = await sandbox_service.parts.sweep.once()
    assert counts.paused == 1
    assert (await caller.get(project_id)).status == PAUSED
    assert (await caller.resume(project_id)).sandbox_id == first
    assert (await sandbox_service.row(project_id))["vendor_id"] == vendor_id


async def test_sandboxes_outlive_an_engine_that_is_restarted(
    sandbox_urls: DatabaseUrls, projects_service: ProjectsService, tmp_path: Path
) -> None:
    engine = start_engine(tmp_path / "engine", pool_size=0)
    try:
        async with running_sandboxes(sandbox_urls, projects_service, engine.url) as service:
            user = await projects_service.user()
            project_id = await user.new_project()
            caller = service.as_user(user)
            await caller.upload(project_id, "index.html", b"kept")
            first = (await caller.get(project_id)).sandbox_id
            engine.stop()
            engine = start_engine(tmp_path / "engine", pool_size=0, port=engine.port)

            # Its processes are gone, its files and its id are not; opening the project starts the preview again.
            assert await caller.read(project_id, "index.html") == b"kept"
            found = await caller.create(project_id)
            assert (found.sandbox_id, found.status) == (first, ACTIVE)
            assert (await service.preview(found.sandbox_url)).content == b"kept"
    finally:
        engine.stop()


async def test_sleeping_sandboxes_take_no_place_and_waking_ones_do(
    sandbox_urls: DatabaseUrls, projects_service: ProjectsService, engine: RunningEngine
) -> None:
    async with running_sandboxes(
        sandbox_urls, projects_service, engine.url, max_active_per_user=1
    ) as service:
        user = await projects_service.user()
        one, two = await user.new_project(), await user.new_project()
        caller = service.as_user(user)
        await caller.create(one)
        await caller.pause(one)
        await caller.create(two)
        with pytest.raises(QuotaExceeded) as full:
            await caller.resume(one)
        assert full.value.reason == "SANDBOX_QUOTA"
        assert full.value.metadata == {"limit": "1", "used": "1"}
        assert (await caller.get(one)).status == PAUSED
        await caller.pause(two)
        assert (await caller.resume(one)).status == ACTIVE
        usage = await caller.usage()
        assert (usage.active_sandboxes, usage.max_active_sandboxes) == (1, 1)
        assert usage.paused_sandboxes == 1


async def test_a_kept_sandbox_sleeps_at_its_end_and_wakes_with_the_next_use(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    request = projects_pb2.CreateProjectRequest(name="Kept", persistent_sandbox=True)
    project_id = (await user.projects.CreateProject(request)).project_id
    caller = sandbox_service.as_user(user)
    created = await caller.create(project_id)
    await caller.upload(project_id, "index.html", b"kept")
    assert (await caller.get(project_id)).persistent
    await sandbox_service.sql("UPDATE sandboxes SET expires_at = now()")
    counts = await sandbox_service.parts.sweep.once()
    assert (counts.closed, counts.paused) == (0, 1)
    assert (await caller.get(project_id)).status == PAUSED
    assert await vendor_state(sandbox_service, project_id) is VendorState.PAUSED
    assert await caller.read(project_id, "index.html") == b"kept"
    # Its life was used up, so that it got a new one. Now before any sweep has seen the end of it.
    assert (await sandbox_service.as_user(user).stats(project_id)).seconds_until_expiry > 3500
    await sandbox_service.sql("UPDATE sandboxes SET expires_at = now()")
    assert await caller.read(project_id, "index.html") == b"kept"
    await sandbox_service.sql("UPDATE sandboxes SET expires_at = now()")
    assert (await caller.create(project_id)).sandbox_id == created.sandbox_id
    # Lost by the vendor, also at a moment when nobody sleeps.
    await sandbox_service.parts.vendor.kill((await sandbox_service.row(project_id))["vendor_id"])
    await sandbox_service.parts.sweep.once()
    assert (await caller.get(project_id)).status == PAUSED
    assert (await caller.create(project_id)).sandbox_id == created.sandbox_id
    assert (await caller.close(project_id)).status == CLOSED


async def test_a_changed_flag_reaches_the_sandbox(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    caller = sandbox_service.as_user(user)
    await caller.create(project_id)
    assert not (await caller.get(project_id)).persistent

    async def flag(*, wanted: bool) -> bool:
        return (await caller.get(project_id)).persistent is wanted

    await keep(user, project_id)
    assert await eventually(lambda: flag(wanted=True))
    await keep(user, project_id, persistent=False)
    assert await eventually(lambda: flag(wanted=False))
    await sandbox_service.sql("UPDATE sandboxes SET expires_at = now()")
    await sandbox_service.parts.sweep.once()
    assert (await caller.get(project_id)).status == CLOSED


async def test_what_nobody_uses_falls_asleep_and_what_is_used_does_not(
    sandbox_urls: DatabaseUrls, projects_service: ProjectsService, engine: RunningEngine
) -> None:
    async with running_sandboxes(
        sandbox_urls, projects_service, engine.url, idle_pause_seconds=600
    ) as service:
        user = await projects_service.user()
        idle, used = await user.new_project(), await user.new_project()
        caller = service.as_user(user)
        await caller.create(idle)
        await caller.create(used)
        await service.sql("UPDATE sandboxes SET used_at = now() - interval '11 min'")
        await caller.list(used)
        counts = await service.parts.sweep.once()
        assert counts.paused == 1
        assert (await caller.get(idle)).status == PAUSED
        assert (await caller.get(used)).status == ACTIVE
        for use in (caller.create(used), caller.upload(used, "a", b"a")):
            await service.sql("UPDATE sandboxes SET used_at = now() - interval '11 min'")
            await use
            assert (await service.parts.sweep.once()).paused == 0


async def test_without_a_sandbox_there_is_nothing_to_pause_resume_or_extend(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    caller = sandbox_service.as_user(user)
    for closed in (False, True):
        if closed:
            await caller.create(project_id)
            await caller.pause(project_id)
            assert (await caller.close(project_id)).status == CLOSED
        for use in (caller.pause, caller.resume, caller.extend):
            with pytest.raises(NotFound) as found:
                await use(project_id)
            assert found.value.reason == "SANDBOX_NOT_FOUND"
    assert await sandbox_service.at_vendor() == set()


async def test_a_crash_between_row_and_vendor_is_settled_by_the_sweep(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    caller = sandbox_service.as_user(user)
    await caller.create(project_id)
    # Noted as asleep, and then the service died; and one that was being woken by somebody who died.
    await sandbox_service.sql("UPDATE sandboxes SET status = 'paused', paused_at = now()")
    assert (await sandbox_service.parts.sweep.once()).paused == 1
    assert await vendor_state(sandbox_service, project_id) is VendorState.PAUSED
    await sandbox_service.sql(
        "UPDATE sandboxes SET status = 'creating', attempt_until = now() - interval '1 s'"
    )
    assert (await sandbox_service.parts.sweep.once()).paused == 1
    assert (await caller.get(project_id)).status == PAUSED
    await sandbox_service.sql(
        "UPDATE sandboxes SET status = 'creating', attempt_until = now() - interval '1 s'"
    )
    vendor_id = (await sandbox_service.row(project_id))["vendor_id"]
    assert (await caller.resume(project_id)).status == ACTIVE
    assert (await sandbox_service.row(project_id))["vendor_id"] == vendor_id
