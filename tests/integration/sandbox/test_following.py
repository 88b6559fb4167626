"""What happens to a project reaches its sandbox, whoever was away or in trouble meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from kit.testing import eventually, free_port
from protos.projects.v1 import projects_pb2, projects_pb2_grpc
from protos.sandbox.v1 import sandbox_pb2, sandbox_pb2_grpc
from services.sandbox.model import SITE
from tests.fakes.sandbox_vendor import FakeVendor
from tests.fixtures.engine import RunningEngine
from tests.fixtures.postgres import DatabaseUrls
from tests.fixtures.project_files import commit, write_files
from tests.fixtures.projects import ProjectsService, TestUser, running_projects
from tests.fixtures.sandbox import Sandboxes, SandboxService, running_sandboxes
from tests.fixtures.sandbox_process import service_environment, serving, started

FIRST, SECOND = {"index.html": b"first"}, {"index.html": b"second", "more.txt": b"more"}
# As a change does that this service can't digest: a statement about this one project fails.
POISON = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'poison'; END $$;
"""


@pytest.fixture
def vendor() -> FakeVendor:
    return FakeVendor()


@pytest.fixture
async def service(
    sandbox_urls: DatabaseUrls, projects_service: ProjectsService, vendor: FakeVendor
) -> AsyncIterator[SandboxService]:
    async with running_sandboxes(sandbox_urls, projects_service, "", vendor) as running:
        yield running


async def gone_on(user: TestUser) -> str:
    """A project that has gone on since its version."""
    project_id = await user.new_project()
    await write_files(user.internal, project_id, FIRST)
    await commit(user.internal, project_id, "gen-1")
    await write_files(user.internal, project_id, SECOND)
    return project_id


async def go_back(internal: projects_pb2_grpc.ProjectsServiceAsyncStub, project_id: str) -> None:
    """The project's files become those of its version again."""
    await commit(internal, project_id, "gen-2", keep_head=True)


async def keep(user: TestUser, project_id: str, *, persistent: bool) -> None:
    request = projects_pb2.UpdateProjectRequest(
        project_id=project_id, persistent_sandbox=persistent
    )
    await user.projects.UpdateProject(request)


async def reaches(vendor: FakeVendor, service: SandboxService, project_id: str) -> bool:
    """Whether the project's sandbox gets the first version's files."""

    async def there() -> bool:
        row = await service.row(project_id)
        files = vendor.sandboxes[row["vendor_id"]].files
        found = {path: data for path, data in files.items() if path.startswith(f"{SITE}/")}
        return found == {f"{SITE}/{path}": data for path, data in FIRST.items()}

    return bool(await eventually(there))


async def poisoned(service: SandboxService, project_id: str) -> None:
    await service.sql(POISON)
    await service.sql(
        "CREATE TRIGGER refusing BEFORE UPDATE OR DELETE ON sandboxes FOR EACH ROW"
        f" WHEN (OLD.project_id = '{project_id}') EXECUTE FUNCTION refuse()"
    )


async def left(service: SandboxService) -> int:
    return len(await service.sql("SELECT 1 FROM left_changes"))


async def test_a_change_that_fails_blocks_no_other_and_is_caught_up_on(
    service: SandboxService, vendor: FakeVendor, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    sick, well = await gone_on(user), await gone_on(user)
    for project_id in (sick, well):
        await service.as_user(user).create(project_id)
    await poisoned(service, sick)
    await go_back(user.internal, sick)
    await go_back(user.internal, well)
    assert await reaches(vendor, service, well)
    assert await left(service) == 1
    assert not (await service.row(sick))["unsettled"]
    await service.sql("DROP TRIGGER refusing ON sandboxes")
    assert await reaches(vendor, service, sick)

    async def none_left() -> bool:
        return await left(service) == 0

    assert await eventually(none_left)


async def test_of_changes_that_were_left_the_newest_counts(
    service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    await service.as_user(user).create(project_id)
    await poisoned(service, project_id)
    for persistent in (True, False, True):
        await keep(user, project_id, persistent=persistent)

    async def all_left() -> bool:
        return await left(service) == 3

    async def none_left() -> bool:
        return await left(service) == 0

    assert await eventually(all_left)
    await service.sql("DROP TRIGGER refusing ON sandboxes")
    assert await eventually(none_left)
    assert (await service.row(project_id))["persistent"] is True


async def test_a_deletion_ends_the_sandbox_though_the_vendor_is_slow_with_another(
    service: SandboxService, vendor: FakeVendor, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    slow, other = await user.new_project(), await user.new_project()
    for project_id in (slow, other):
        await service.as_user(user).create(project_id)
    stuck = (await service.row(slow))["vendor_id"]
    wanted = (await service.row(other))["vendor_id"]
    never = asyncio.Event()

    async def wait(vendor_id: str) -> None:
        if vendor_id == stuck:
            await never.wait()

    vendor.hooks["kill"] = wait
    for project_id in (slow, other):
        await user.projects.DeleteProject(projects_pb2.DeleteProjectRequest(project_id=project_id))

    async def ended() -> bool:
        return wanted not in vendor.sandboxes

    assert await eventually(ended)
    never.set()


async def test_another_replica_follows_when_the_first_has_gone(
    sandbox_urls: DatabaseUrls, projects_service: ProjectsService, vendor: FakeVendor
) -> None:
    user = await projects_service.user()
    project_id = await gone_on(user)
    first = running_sandboxes(sandbox_urls, projects_service, "", vendor)
    await first.__aenter__()
    async with running_sandboxes(sandbox_urls, projects_service, "", vendor) as second:
        await second.as_user(user).create(project_id)
        await first.__aexit__(None, None, None)
        await go_back(user.internal, project_id)
        assert await reaches(vendor, second, project_id)


async def test_a_change_is_followed_after_the_projects_service_was_down(
    sandbox_urls: DatabaseUrls,
    projects_urls: DatabaseUrls,
    key_folder: Path,
    vendor: FakeVendor,
) -> None:
    port = free_port()
    async with running_projects(projects_urls, key_folder, migrate=False, port=port) as before:
        sandboxes = running_sandboxes(sandbox_urls, before, "", vendor)
        service = await sandboxes.__aenter__()
        email = f"{key_folder.name}-{port}@example.com"
        project_id = await gone_on(user := await before.user(email))
        await service.as_user(user).create(project_id)
    try:
        async with running_projects(projects_urls, key_folder, migrate=False, port=port) as after:
            await go_back(after.internal(user.user_id), project_id)
            assert await reaches(vendor, service, project_id)
    finally:
        await sandboxes.__aexit__(None, None, None)


async def test_a_sleeping_sandbox_is_not_woken_and_has_the_files_when_it_is(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await gone_on(user)
    caller = sandbox_service.as_user(user)
    await caller.create(project_id)
    await caller.call("PauseSandbox", sandbox_pb2.PauseSandboxRequest(project_id=project_id))
    await go_back(user.internal, project_id)

    async def noted() -> bool:
        return bool((await sandbox_service.row(project_id))["unsettled"])

    assert await eventually(noted)
    await sandbox_service.parts.sweep.once()
    row = await sandbox_service.row(project_id)
    assert (row["status"], row["unsettled"]) == ("paused", True)
    await caller.call("ResumeSandbox", sandbox_pb2.ResumeSandboxRequest(project_id=project_id))
    assert set(await caller.list(project_id)) == {"index.html"}
    assert await caller.read(project_id, "index.html") == b"first"


async def test_what_happened_while_this_service_was_dead_is_done_when_it_is_back(
    sandbox_urls: DatabaseUrls,
    projects_service: ProjectsService,
    engine: RunningEngine,
    tmp_path: Path,
) -> None:
    user = await projects_service.user()
    project_id, deleted = await gone_on(user), await user.new_project()
    port = free_port()
    env = service_environment(sandbox_urls, projects_service, engine, port)
    log = tmp_path / "log"
    process = started(env, log)
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            await serving(channel)
            caller = Sandboxes(sandbox_pb2_grpc.SandboxServiceStub(channel), user.token)
            await caller.create(project_id)
            await caller.create(deleted)
        process.kill()
        process.wait()
        await go_back(user.internal, project_id)
        await user.projects.DeleteProject(projects_pb2.DeleteProjectRequest(project_id=deleted))
        process = started(env, log)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            await serving(channel)
            caller = Sandboxes(sandbox_pb2_grpc.SandboxServiceStub(channel), user.token)

            async def restored() -> bool:
                listed = set(await caller.list(project_id))
                content = await caller.read(project_id, "index.html")
                return listed == {"index.html"} and content == b"first"

            assert await eventually(restored)
    finally:
        process.kill()
        process.wait()
