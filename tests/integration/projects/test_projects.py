"""Projects: made, listed, changed, deleted."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest

from protos.projects.v1 import projects_pb2
from tests.fixtures.postgres import DatabaseUrls
from tests.fixtures.project_files import commit, list_files, outcome, refused, write_files
from tests.fixtures.projects import ProjectsService, running_projects

Code = grpc.StatusCode


def _create(name: str = "Bakery", **fields: Any) -> projects_pb2.CreateProjectRequest:
    return projects_pb2.CreateProjectRequest(name=name, **fields)


async def test_a_new_project_is_empty_and_its_sandbox_inactive(
    projects_service: ProjectsService,
) -> None:
    user = await projects_service.user()
    made = await user.projects.CreateProject(_create(description="Bread in Lisbon"))
    found = await user.projects.GetProject(
        projects_pb2.GetProjectRequest(project_id=made.project_id)
    )
    assert found == made
    assert made.project_id.startswith("prj-")
    assert (made.name, made.description, made.owner_id) == (
        "Bakery",
        "Bread in Lisbon",
        user.user_id,
    )
    assert (made.head_version, made.file_count, made.size_bytes, made.sandbox_id) == (0, 0, 0, "")
    assert made.sandbox_status == projects_pb2.SANDBOX_STATUS_INACTIVE


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (_create(""), "name"),
        (_create(" \t "), "name"),
        (_create("x" * 101), "name"),
        (_create("a\x00b"), "name"),
        (_create("a\nb"), "name"),
        (_create(description="x" * 2001), "description"),
        (_create(description="a\x00b"), "description"),
        (_create(idempotency_key="two words"), "idempotency_key"),
        (_create(idempotency_key="x" * 129), "idempotency_key"),
    ],
)
async def test_a_bad_project_names_its_field_and_is_not_made(
    projects_service: ProjectsService,
    request_: projects_pb2.CreateProjectRequest,
    field: str,
) -> None:
    user = await projects_service.user()
    async with refused(Code.INVALID_ARGUMENT) as error:
        await user.projects.CreateProject(request_)
    assert field in error.fields
    found = await user.projects.ListProjects(projects_pb2.ListProjectsRequest())
    assert not found.projects


async def test_the_same_key_answers_the_same_project(projects_service: ProjectsService) -> None:
    user = await projects_service.user()
    calls = (user.projects.CreateProject(_create(idempotency_key="k1")) for _ in range(4))
    made = await asyncio.gather(*calls)
    assert len({project.project_id for project in made}) == 1
    async with refused(Code.ABORTED) as error:
        await user.projects.CreateProject(_create("Another", idempotency_key="k1"))
    assert error.reason == "IDEMPOTENCY_CONFLICT"


async def test_a_key_belongs_to_its_user(projects_service: ProjectsService) -> None:
    one, two = await projects_service.user(), await projects_service.user()
    first = await one.projects.CreateProject(_create(idempotency_key="same"))
    second = await two.projects.CreateProject(_create(idempotency_key="same"))
    assert first.project_id != second.project_id


async def test_the_limit_of_projects_holds_against_calls_at_once(
    projects_urls: DatabaseUrls, key_folder: Path
) -> None:
    async with running_projects(projects_urls, key_folder, max_projects=3) as service:
        user = await service.user()
        calls = (user.projects.CreateProject(_create()) for _ in range(6))
        ends = await asyncio.gather(*(outcome(call) for call in calls))
        assert ends.count("PROJECT_QUOTA") == 3
        async with refused(Code.RESOURCE_EXHAUSTED) as error:
            await user.projects.CreateProject(_create())
        assert error.error.metadata == {"limit": "3", "used": "3"}


async def test_pages_hold_every_project_once_newest_first(
    projects_service: ProjectsService,
) -> None:
    user = await projects_service.user()
    made = [await user.new_project(f"Project {number}") for number in range(7)]
    found: list[str] = []
    token = ""
    while True:
        page = await user.projects.ListProjects(
            projects_pb2.ListProjectsRequest(page_size=3, page_token=token)
        )
        assert len(page.projects) <= 3
        found += [project.project_id for project in page.projects]
        token = page.next_page_token
        if not token:
            break
    assert found == made[::-1]


@pytest.mark.parametrize("token", ["nonsense", "WzFd", "IiI", "WyJhXHUwMDAwYiJd"])
async def test_a_page_token_that_we_did_not_make_is_refused(
    projects_service: ProjectsService, token: str
) -> None:
    user = await projects_service.user()
    async with refused(Code.INVALID_ARGUMENT) as error:
        await user.projects.ListProjects(projects_pb2.ListProjectsRequest(page_token=token))
    assert error.fields == ["page_token"]


async def test_an_update_changes_the_fields_that_are_given(
    projects_service: ProjectsService,
) -> None:
    user = await projects_service.user()
    made = await user.projects.CreateProject(_create(description="old"))
    update = projects_pb2.UpdateProjectRequest

    renamed = await user.projects.UpdateProject(update(project_id=made.project_id, name="New"))
    assert (renamed.name, renamed.description) == ("New", "old")
    assert renamed.updated_at.ToNanoseconds() > made.updated_at.ToNanoseconds()
    emptied = await user.projects.UpdateProject(update(project_id=made.project_id, description=""))
    assert (emptied.name, emptied.description) == ("New", "")
    same = await user.projects.UpdateProject(update(project_id=made.project_id))
    assert same == emptied
    async with refused(Code.INVALID_ARGUMENT) as error:
        await user.projects.UpdateProject(update(project_id=made.project_id, name=" "))
    assert error.fields == ["name"]


async def test_a_project_keeps_its_sandbox_where_it_was_made_so(
    projects_service: ProjectsService,
) -> None:
    user = await projects_service.user()
    request = projects_pb2.CreateProjectRequest(
        name="Kept", persistent_sandbox=True, idempotency_key="one"
    )
    made = await user.projects.CreateProject(request)
    assert made.persistent_sandbox
    assert await user.projects.CreateProject(request) == made
    request.persistent_sandbox = False
    async with refused(Code.ABORTED) as error:
        await user.projects.CreateProject(request)
    assert error.reason == "IDEMPOTENCY_CONFLICT"
    plain = await user.projects.CreateProject(projects_pb2.CreateProjectRequest(name="Plain"))
    assert not plain.persistent_sandbox


async def test_a_deleted_project_is_gone_with_its_files_and_versions(
    projects_service: ProjectsService,
) -> None:
    user = await projects_service.user()
    project_id, other = await user.new_project(), await user.new_project()
    for each in (project_id, other):
        await write_files(user.internal, each, {"index.html": b"shared content"})
        await commit(user.internal, each)
    delete = projects_pb2.DeleteProjectRequest(project_id=project_id)
    await user.projects.DeleteProject(delete)
    for call in (
        user.projects.GetProject(projects_pb2.GetProjectRequest(project_id=project_id)),
        user.projects.ListFiles(projects_pb2.ListFilesRequest(project_id=project_id)),
        user.projects.DeleteProject(delete),
    ):
        async with refused(Code.NOT_FOUND) as error:
            await call
        assert error.reason == "PROJECT_NOT_FOUND"
    assert list(await list_files(user.projects, other, version=1)) == ["index.html"]


async def test_reports_of_a_sandbox_show_in_the_project_and_old_ones_do_not(
    projects_service: ProjectsService,
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()

    async def report(sandbox_id: str, status: int, revision: int, user_id: str) -> None:
        await projects_service.internal(user_id).ReportSandbox(
            projects_pb2.ReportSandboxRequest(
                project_id=project_id,
                sandbox_id=sandbox_id,
                status=projects_pb2.SandboxStatus.ValueType(status),
                revision=revision,
            )
        )

    await report("sbx-1", projects_pb2.SANDBOX_STATUS_ACTIVE, 2, user.user_id)
    await report("", projects_pb2.SANDBOX_STATUS_INACTIVE, 1, user.user_id)
    await report("sbx-2", projects_pb2.SANDBOX_STATUS_PAUSED, 2, "")
    get = projects_pb2.GetProjectRequest(project_id=project_id)
    found = await user.projects.GetProject(get)
    assert (found.sandbox_id, found.sandbox_status) == (
        "sbx-1",
        projects_pb2.SANDBOX_STATUS_ACTIVE,
    )
    await report("sbx-2", projects_pb2.SANDBOX_STATUS_PAUSED, 3, "")
    found = await user.projects.GetProject(get)
    assert (found.sandbox_id, found.sandbox_status) == (
        "sbx-2",
        projects_pb2.SANDBOX_STATUS_PAUSED,
    )


async def test_a_report_for_a_deleted_project_says_so(projects_service: ProjectsService) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    await user.projects.DeleteProject(projects_pb2.DeleteProjectRequest(project_id=project_id))
    async with refused(Code.NOT_FOUND):
        await user.internal.ReportSandbox(
            projects_pb2.ReportSandboxRequest(
                project_id=project_id, status=projects_pb2.SANDBOX_STATUS_INACTIVE, revision=9
            )
        )


async def test_a_project_names_its_model_until_it_is_told_otherwise(
    projects_service: ProjectsService,
) -> None:
    user = await projects_service.user()
    made = await user.projects.CreateProject(_create(model="claude-opus-5-5"))
    assert made.model == "claude-opus-5-5"
    update = projects_pb2.UpdateProjectRequest
    renamed = await user.projects.UpdateProject(update(project_id=made.project_id, name="New"))
    assert renamed.model == "claude-opus-5-5"
    emptied = await user.projects.UpdateProject(update(project_id=made.project_id, model=""))
    assert emptied.model == ""
    assert (await user.projects.CreateProject(_create())).model == ""
    async with refused(Code.INVALID_ARGUMENT):
        await user.projects.CreateProject(_create(model="a b"))


async def test_the_same_key_with_another_model_is_a_conflict(
    projects_service: ProjectsService,
) -> None:
    user = await projects_service.user()
    await user.projects.CreateProject(_create(idempotency_key="k", model="claude-opus-5-5"))
    again = _create(idempotency_key="k", model="claude-haiku-5-5")
    async with refused(Code.ABORTED):
        await user.projects.CreateProject(again)
