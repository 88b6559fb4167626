"""An operator with grpcurl, without the gateway."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.stack import RunningStack
from tests.fixtures.users import new_project, signed_in

pytestmark = pytest.mark.xdist_group("stack")
GRPCURL = Path(sys.executable).parent / "grpcurl"


def _grpcurl(*arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        [str(GRPCURL), "-plaintext", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("service", "names"),
    [
        (
            "projects",
            {"sandwright.projects.v1.ProjectsService", "sandwright.projects.v1.AccountsService"},
        ),
        ("sandbox", {"sandwright.sandbox.v1.SandboxService"}),
        ("generation", {"sandwright.generation.v1.GenerationService"}),
    ],
)
def test_each_service_lists_describes_and_tells_its_health(
    stack: RunningStack, service: str, names: set[str]
) -> None:
    address = stack.grpc(service)
    assert names <= set(_grpcurl(address, "list").split())
    for name in names:
        assert f"service {name.rsplit('.', 1)[-1]}" in _grpcurl(address, "describe", name)
        health = _grpcurl(
            "-d", json.dumps({"service": name}), address, "grpc.health.v1.Health/Check"
        )
        assert json.loads(health) == {"status": "SERVING"}


def test_a_call_with_a_token_in_its_metadata(stack: RunningStack) -> None:
    address = stack.grpc("projects")
    account = json.dumps({"email": "operator@example.com", "password": "a long password"})
    session = json.loads(
        _grpcurl("-d", account, address, "sandwright.projects.v1.AccountsService/Register")
    )
    token = ("-H", f"authorization: Bearer {session['access_token']}")
    made = json.loads(
        _grpcurl(
            *token,
            "-d",
            '{"name": "By hand"}',
            address,
            "sandwright.projects.v1.ProjectsService/CreateProject",
        )
    )
    listed: Any = json.loads(
        _grpcurl(*token, address, "sandwright.projects.v1.ProjectsService/ListProjects")
    )
    assert [project["project_id"] for project in listed["projects"]] == [made["project_id"]]


async def test_an_internal_method_is_closed_to_users(stack: RunningStack) -> None:
    async with signed_in(stack.api) as client:
        project = await new_project(client)
        said = _grpcurl(
            "-H",
            f"authorization: {client.authorization}",
            "-d",
            json.dumps({"projectId": project, "cause": "VERSION_CAUSE_EDIT"}),
            stack.grpc("projects"),
            "sandwright.projects.v1.ProjectsService/CommitVersion",
            code=64 + 7,
        )
    assert "PermissionDenied" in said
