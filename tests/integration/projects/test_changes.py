"""The change log: in the order of commits, without gaps, followed live and after a break."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from sqlalchemy import text

from kit.db import Database
from protos.projects.v1 import projects_pb2
from tests.fixtures.postgres import DatabaseUrls, Postgres
from tests.fixtures.project_files import commit, refused, write_files
from tests.fixtures.projects import ProjectsService, TestUser, running_projects


@pytest.fixture
async def alone(postgres: Postgres, key_folder: Path) -> AsyncIterator[ProjectsService]:
    """A service with a change log of its own."""
    urls = await postgres.fresh_async()
    # Looks by itself so rarely that only a wake-up can explain what arrives.
    async with running_projects(urls, key_folder, change_poll_seconds=60) as service:
        yield service


def _watch(service: ProjectsService, after: int = 0, user_id: str = "") -> Any:
    request = projects_pb2.WatchChangesRequest(after_sequence=after)
    return service.internal(user_id).WatchChanges(request)


async def _deleted(user: TestUser) -> str:
    project_id = await user.new_project()
    await user.projects.DeleteProject(projects_pb2.DeleteProjectRequest(project_id=project_id))
    return project_id


async def _next(stream: Any) -> projects_pb2.Change:
    change = await asyncio.wait_for(stream.read(), 30)
    assert isinstance(change, projects_pb2.Change), change
    return change


async def test_a_follower_hears_of_a_deleted_project_at_once(alone: ProjectsService) -> None:
    user = await alone.user()
    stream = _watch(alone)
    await stream.initial_metadata()
    project_id = await _deleted(user)
    change = await _next(stream)
    assert (change.sequence, change.project_id, change.owner_id) == (1, project_id, user.user_id)
    assert change.WhichOneof("kind") == "project_deleted"
    again = await _deleted(user)
    change = await _next(stream)
    assert (change.sequence, change.project_id) == (2, again)
    stream.cancel()


async def test_a_reset_of_files_names_the_version(alone: ProjectsService) -> None:
    user = await alone.user()
    project_id = await user.new_project()
    await write_files(user.internal, project_id, {"a": b"1"})
    await commit(user.internal, project_id, "gen-1", keep_head=True)
    await write_files(user.internal, project_id, {"a": b"2"})
    await commit(user.internal, project_id, "gen-2")
    await write_files(user.internal, project_id, {"a": b"3"})
    for _ in range(2):
        await commit(user.internal, project_id, "gen-3", keep_head=True)
    stream = _watch(alone)
    resets = [await _next(stream), await _next(stream)]
    assert [change.WhichOneof("kind") for change in resets] == ["files_reset", "files_reset"]
    assert [change.files_reset.version for change in resets] == [0, 2]
    # The repeated commit was told once.
    marker = await _deleted(user)
    assert (await _next(stream)).project_id == marker
    stream.cancel()


async def test_a_follower_hears_of_a_changed_flag_once_and_of_no_other_update(
    alone: ProjectsService,
) -> None:
    user = await alone.user()
    project_id = await user.new_project()

    async def update(**fields: Any) -> projects_pb2.Project:
        request = projects_pb2.UpdateProjectRequest(project_id=project_id, **fields)
        return await user.projects.UpdateProject(request)

    assert (await update(persistent_sandbox=True)).persistent_sandbox
    await update(name="Renamed")
    await update(persistent_sandbox=True)
    assert not (await update(persistent_sandbox=False)).persistent_sandbox
    stream = _watch(alone)
    told = [await _next(stream), await _next(stream)]
    assert [change.WhichOneof("kind") for change in told] == ["project_updated"] * 2
    assert [change.project_updated.persistent_sandbox for change in told] == [True, False]
    marker = await _deleted(user)
    assert (await _next(stream)).project_id == marker
    stream.cancel()


async def test_a_follower_goes_on_after_the_last_change_it_has_applied(
    alone: ProjectsService,
) -> None:
    user = await alone.user()
    deleted = [await _deleted(user) for _ in range(4)]
    stream = _watch(alone, after=2)
    assert [(await _next(stream)).project_id for _ in range(2)] == deleted[2:]
    stream.cancel()


async def test_sequence_numbers_have_no_gap_and_the_order_of_commits(
    alone: ProjectsService,
) -> None:
    users = [await alone.user() for _ in range(3)]
    projects = [(user, await user.new_project()) for user in users for _ in range(6)]
    stream = _watch(alone)
    await asyncio.gather(
        *(
            user.projects.DeleteProject(projects_pb2.DeleteProjectRequest(project_id=project_id))
            for user, project_id in projects
        )
    )
    # What fails takes no number.
    async with refused(grpc.StatusCode.NOT_FOUND):
        await users[0].projects.DeleteProject(
            projects_pb2.DeleteProjectRequest(project_id=projects[0][1])
        )
    await _deleted(users[0])
    seen = [await _next(stream) for _ in range(19)]
    assert [change.sequence for change in seen] == list(range(1, 20))
    assert {change.project_id for change in seen[:18]} == {project_id for _, project_id in projects}
    stream.cancel()


async def test_a_follower_for_one_user_hears_of_that_user_alone(alone: ProjectsService) -> None:
    one, two = await alone.user(), await alone.user()
    await _deleted(two)
    mine = await _deleted(one)
    stream = _watch(alone, user_id=one.user_id)
    assert (await _next(stream)).project_id == mine
    stream.cancel()


async def test_a_change_made_by_another_replica_is_heard(
    postgres: Postgres, key_folder: Path
) -> None:
    urls = await postgres.fresh_async()
    async with (
        running_projects(urls, key_folder, change_poll_seconds=60) as first,
        running_projects(urls, key_folder, change_poll_seconds=60) as second,
    ):
        stream = _watch(first)
        await stream.initial_metadata()
        project_id = await _deleted(await second.user())
        assert (await _next(stream)).project_id == project_id
        stream.cancel()


async def test_a_change_whose_wake_up_was_lost_is_found(
    postgres: Postgres, key_folder: Path
) -> None:
    urls = await postgres.fresh_async()
    async with running_projects(urls, key_folder, change_poll_seconds=0.1) as service:
        stream = _watch(service)
        await stream.initial_metadata()
        database = Database(urls.projects, pool_size=1, name="test")
        async with database.begin() as connection:
            # As the service appends, but without a notification.
            await connection.execute(
                text(
                    "INSERT INTO changes (sequence, project_id, owner_id, kind, version)"
                    " VALUES (1, 'prj-lost', 'usr-1', 'project_deleted', 0)"
                )
            )
        await database.close()
        assert (await _next(stream)).project_id == "prj-lost"
        stream.cancel()


async def test_a_server_that_stops_tells_its_followers(
    projects_urls: DatabaseUrls, key_folder: Path
) -> None:
    async with running_projects(projects_urls, key_folder) as service:
        stream = _watch(service, after=2**62)
        await stream.initial_metadata()
        async with asyncio.TaskGroup() as group:
            ending = group.create_task(_end(stream))
            group.create_task(_stop_soon(service))
    assert ending.result() is grpc.StatusCode.UNAVAILABLE


async def _end(stream: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stream.read()
    return caught.value.code()


async def _stop_soon(service: ProjectsService) -> None:
    await asyncio.sleep(0)
    service.stopping.set()
