"""Commands that are run for a generation: only a service may, and only while nobody has taken over from its worker."""

from __future__ import annotations

import asyncio

import pytest

from kit.errors import Conflict, PermissionDenied
from kit.testing import eventually
from protos.files.v1 import files_pb2
from tests.fixtures.projects import ProjectsService
from tests.fixtures.sandbox import SandboxService


def origin(epoch: int) -> files_pb2.WriteOrigin:
    return files_pb2.WriteOrigin(generation_id="gen-1", epoch=epoch)


async def test_who_lost_the_lease_runs_nothing(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    caller = sandbox_service.as_service(user)
    await caller.ensure(project_id)
    second = await caller.run_to_end(project_id, "echo second > who", origin=origin(2))
    assert second.exited.exit_code == 0
    with pytest.raises(Conflict) as found:
        await caller.run_to_end(project_id, "echo first > who", origin=origin(1))
    assert found.value.reason == "STALE_EPOCH"
    assert (await caller.run_to_end(project_id, "cat who", origin=origin(2))).stdout == "second\n"


async def test_a_command_of_who_lost_the_lease_is_ended(
    sandbox_service: SandboxService,
    projects_service: ProjectsService,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.sandbox.service.commands._RENEW_SECONDS", 0.1)
    user = await projects_service.user()
    project_id = await user.new_project()
    caller = sandbox_service.as_service(user)
    await caller.ensure(project_id)
    first = asyncio.create_task(
        caller.run_to_end(project_id, "touch begun; sleep 77", origin=origin(1))
    )

    async def begun() -> bool:
        return "begun" in (await caller.run_to_end(project_id, "ls")).stdout

    await eventually(begun)
    await caller.run_to_end(project_id, "true", origin=origin(2))
    with pytest.raises(Conflict) as found:
        await first
    assert found.value.reason == "STALE_EPOCH"
    left = await caller.run_to_end(project_id, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    assert "sleep 77" not in left.stdout


async def test_a_user_s_command_is_nobody_s_generation_s(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    caller = sandbox_service.as_user(user)
    await caller.create(project_id)
    with pytest.raises(PermissionDenied) as found:
        await caller.run_to_end(project_id, "true", origin=origin(9))
    assert found.value.message.startswith("origin: ")
