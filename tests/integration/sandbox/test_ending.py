"""What was done inside a sandbox outlives the end of its time, however it comes. Over the real engine."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from kit.errors import NotFound
from protos.projects.v1 import projects_pb2
from protos.sandbox.v1 import sandbox_pb2
from services.sandbox.service.reconcile import Counts
from tests.fixtures.engine import RunningEngine
from tests.fixtures.postgres import DatabaseUrls
from tests.fixtures.projects import ProjectsService
from tests.fixtures.sandbox import SandboxService, running_sandboxes
from tests.fixtures.sandbox_files import BothSides, hashes

START = {"index.html": b"<p>"}
DONE = {**START, "made/inside.txt": b"made"}
ACTIVE, PAUSED, CLOSED = (
    sandbox_pb2.SANDBOX_STATUS_ACTIVE,
    sandbox_pb2.SANDBOX_STATUS_PAUSED,
    sandbox_pb2.SANDBOX_STATUS_CLOSED,
)
_GRACE, _LONGEST = 100, 7200


@pytest.fixture
async def service(
    sandbox_urls: DatabaseUrls, projects_service: ProjectsService, engine: RunningEngine
) -> AsyncIterator[SandboxService]:
    async with running_sandboxes(
        sandbox_urls,
        projects_service,
        engine.url,
        vendor_grace_seconds=_GRACE,
        vendor_maximum_seconds=_LONGEST,
        maximum_lifetime_seconds=_LONGEST,
        ending_lead_seconds=15,
        idle_pause_seconds=500,
        max_seconds_a_day=50_000,
    ) as running:
        yield running


async def begun(service: SandboxService, *, kept: bool = False) -> BothSides:
    """A project in whose sandbox something was done that nobody has looked at."""
    user = await service.projects.user()
    request = projects_pb2.CreateProjectRequest(name="p", persistent_sandbox=kept)
    project = BothSides(service, user, (await user.projects.CreateProject(request)).project_id)
    await project.own.upload(project.id, "index.html", START["index.html"])
    await project.run("mkdir made && echo -n made > made/inside.txt")
    return project


async def expire(project: BothSides, seconds_from_now: float = 0) -> None:
    await project.service.sql(
        "UPDATE sandboxes SET expires_at = now() + make_interval(secs => :seconds)",
        seconds=float(seconds_from_now),
    )


async def state(project: BothSides) -> int:
    return (await project.own.get(project.id)).status


@pytest.mark.parametrize("kept", [False, True])
async def test_what_was_done_inside_outlives_the_end(service: SandboxService, kept: bool) -> None:
    project = await begun(service, kept=kept)
    await expire(project)
    await service.parts.ending.once(Counts())
    assert await state(project) == (PAUSED if kept else CLOSED)
    assert await project.stored() == hashes(DONE)
    await project.own.create(project.id)
    assert await project.inside() == hashes(DONE)


@pytest.mark.parametrize("use", ["create", "upload"])
async def test_a_use_after_the_end_that_no_sweep_has_seen_loses_nothing(
    service: SandboxService, use: str
) -> None:
    project = await begun(service)
    await expire(project)
    if use == "create":
        await project.own.create(project.id)
    else:
        await project.own.upload(project.id, "index.html", START["index.html"])
    assert await project.stored() == await project.inside() == hashes(DONE)


async def test_closing_after_the_end_loses_nothing(service: SandboxService) -> None:
    project = await begun(service)
    await expire(project)
    assert (await project.own.close(project.id)).status == CLOSED
    assert await project.stored() == hashes(DONE)


async def test_another_projects_creation_that_ends_an_expired_one_loses_nothing(
    service: SandboxService,
) -> None:
    project = await begun(service)
    await expire(project)
    await project.own.create(await project.user.new_project())
    assert await state(project) == CLOSED
    assert await project.stored() == hashes(DONE)


async def test_what_sleeps_for_being_idle_and_what_is_ended_for_the_day_lose_nothing(
    service: SandboxService,
) -> None:
    idle, spent = await begun(service), await begun(service)
    await service.sql(
        "UPDATE sandboxes SET used_at = now() - interval '1 h' WHERE project_id = :id", id=idle.id
    )
    await service.sql(
        "INSERT INTO intervals (sandbox_id, project_id, owner_id, deployment, place, cpu_count,"
        " memory_mib, started_at, ended_at) VALUES ('sbx-old', 'prj-old', :owner, 'd', 'local', 1,"
        " 512, date_trunc('day', now(), 'UTC'), date_trunc('day', now(), 'UTC') + interval '50000 s')",
        owner=spent.user.user_id,
    )
    counts = await service.parts.sweep.once()
    assert (counts.paused, counts.closed) == (1, 1)
    assert (await state(idle), await state(spent)) == (PAUSED, CLOSED)
    assert await idle.stored() == await spent.stored() == hashes(DONE)


@pytest.mark.parametrize("kept", [False, True])
async def test_what_was_done_inside_is_taken_over_before_the_vendor_ends_the_sandbox(
    service: SandboxService,
    kept: bool,
) -> None:
    project = await begun(service, kept=kept)
    # The vendor gives no more: its end and the one that was promised are the same.
    await service.sql(
        "UPDATE sandboxes SET started_at = now() - make_interval(secs => :age)",
        age=float(_LONGEST - 30),
    )
    await expire(project, 30)
    await service.parts.ending.once(Counts())
    assert await state(project) == ACTIVE
    assert await project.stored() == hashes(START)
    await service.sql("UPDATE sandboxes SET started_at = started_at - interval '20 s'")
    await expire(project, 10)
    await service.parts.ending.once(Counts())
    assert await state(project) == (PAUSED if kept else ACTIVE)
    assert await project.stored() == hashes(DONE)


async def test_where_the_vendor_leaves_time_nothing_is_done_before_the_end(
    service: SandboxService,
) -> None:
    project = await begun(service, kept=True)
    await expire(project, 5)
    await service.parts.ending.once(Counts())
    assert await state(project) == ACTIVE
    assert await project.stored() == hashes(START)


async def test_the_service_looks_by_itself(
    sandbox_urls: DatabaseUrls, projects_service: ProjectsService, engine: RunningEngine
) -> None:
    async with running_sandboxes(
        sandbox_urls, projects_service, engine.url, ending_look_seconds=0.1
    ) as service:
        project = await begun(service)
        await expire(project)
        assert await project.has_stored(DONE)
        with pytest.raises(NotFound):
            await project.own.list(project.id)
