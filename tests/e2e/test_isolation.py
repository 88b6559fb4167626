"""Two users at the same time: neither sees anything of the other, by any route or method."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from google.api import annotations_pb2
from google.protobuf import descriptor_pool

from local.stack.client import Client
from tests.fixtures.stack import RunningStack
from tests.fixtures.users import all_events, generate, new_project, signed_in

pytestmark = pytest.mark.xdist_group("stack")
SERVICES = (
    "sandwright.projects.v1.ProjectsService",
    "sandwright.sandbox.v1.SandboxService",
    "sandwright.generation.v1.GenerationService",
    "sandwright.projects.v1.AccountsService",
)
BODIES: dict[str, dict[str, Any]] = {
    "RunCommand": {"command": "rm -rf ."},
    "StartGeneration": {"prompt": "a page"},
    "UpdateProject": {"name": "stolen"},
}


def _routes() -> list[tuple[str, str, str]]:
    """Name, verb and template of every method that has a REST route."""
    found = []
    pool = descriptor_pool.Default()
    for service in SERVICES:
        for method in pool.FindServiceByName(service).methods:
            rule = method.GetOptions().Extensions[annotations_pb2.http]
            verb = rule.WhichOneof("pattern")
            if verb:
                found.append((method.name, verb.upper(), getattr(rule, verb)))
    return found


PUBLIC = {"Register", "Login", "Refresh", "Logout", "GetSigningKeys"}
OWN = {
    "CreateProject",
    "GetGenerationUsage",
    "GetMe",
    "GetSandboxUsage",
    "ListModels",
    "ListProjects",
}
FOREIGN = [route for route in _routes() if route[0] not in PUBLIC | OWN]


async def _request(
    http: httpx.AsyncClient, route: tuple[str, str, str], project_id: str, generation_id: str
) -> httpx.Response:
    name, verb, template = route
    path = (
        template.replace("{project_id}", project_id)
        .replace("{generation_id}", generation_id)
        .replace("{path=**}", "index.html")
    )
    body = {**BODIES.get(name, {})}
    if name == "StartGeneration":
        body["projectId"] = project_id
    if name == "UploadSandboxFile":
        return await http.request(verb, path, content=b"stolen")
    return await http.request(verb, path, json=body if verb in {"POST", "PATCH"} else None)


async def _site(client: Client, prompt: str) -> tuple[str, str]:
    project_id = await new_project(client)
    generation_id = await generate(client, project_id, prompt)
    await all_events(client, generation_id)
    return project_id, generation_id


def _http(client: Client | None, api: str) -> httpx.AsyncClient:
    headers = {"Authorization": client.authorization} if client else {}
    return httpx.AsyncClient(base_url=api, headers=headers, trust_env=False, timeout=60)


async def test_two_users_generating_at_once_get_their_own_files_and_events(
    stack: RunningStack,
) -> None:
    async with signed_in(stack.api) as one, signed_in(stack.api) as two:
        (p1, _), (p2, _) = await asyncio.gather(
            _site(one, "a portfolio for Ana Sousa, photographer"),
            _site(two, "a memory game named Zorbl"),
        )
        pages = await one.file(p1, "index.html"), await two.file(p2, "index.html")
        assert b"Ana Sousa" in pages[0]
        assert b"Zorbl" in pages[1]
        assert b"Zorbl" not in pages[0]
        sandboxes = [
            (await client.call("GET", f"/api/projects/{project}/sandbox"))["sandboxId"]
            for client, project in ((one, p1), (two, p2))
        ]
        assert len(set(sandboxes)) == 2
        for client, own, other in ((one, p1, p2), (two, p2, p1)):
            listed = (await client.call("GET", "/api/projects"))["projects"]
            assert [project["projectId"] for project in listed] == [own] != [other]


async def test_anothers_id_answers_404_on_every_route_and_changes_nothing(
    stack: RunningStack,
) -> None:
    async with signed_in(stack.api) as owner, signed_in(stack.api) as other:
        project_id, generation_id = await _site(owner, "a landing page for a florist")
        before = await owner.call("GET", f"/api/projects/{project_id}/files")
        async with _http(other, stack.api) as http:
            answers = {
                route: await _request(http, route, project_id, generation_id) for route in FOREIGN
            }
            unknown = {
                route: await _request(http, route, "prj-unknown", "gen-unknown")
                for route in FOREIGN
            }
        assert {r[0]: a.status_code for r, a in answers.items()} == {r[0]: 404 for r in FOREIGN}
        for route, answer in answers.items():
            # Whether it exists can't be told from the answer.
            assert answer.json()["message"] == unknown[route].json()["message"], route
        assert await owner.call("GET", f"/api/projects/{project_id}/files") == before
        sandbox = await owner.call("GET", f"/api/projects/{project_id}/sandbox")
        assert sandbox["status"] == "active"


@pytest.mark.parametrize(
    "route", [*FOREIGN, *(r for r in _routes() if r[0] in OWN)], ids=lambda r: r[0]
)
async def test_without_a_token_every_private_route_answers_401(
    stack: RunningStack, route: tuple[str, str, str]
) -> None:
    async with _http(None, stack.api) as http:
        answer = await _request(http, route, "prj-1", "gen-1")
    assert answer.status_code == 401
    assert answer.json()["details"][0]["reason"] == "TOKEN_MISSING"


def test_the_table_of_routes_is_not_empty() -> None:
    assert {"GetProject", "WatchGeneration", "UploadSandboxFile", "GetFile"} <= {
        r[0] for r in FOREIGN
    }
