"""Who may call what: every method, without a token, with a bad one, with another's, from outside."""

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import Any

import grpc
import jwt
import orjson
import pytest

from kit.auth.keys import SigningKey, read_signing_keys
from kit.auth.tokens import ServiceIdentity, issue_user_token
from kit.methods import policy_from
from protos.options.v1 import options_pb2
from protos.projects.v1 import accounts_pb2, accounts_pb2_grpc, projects_pb2
from tests.fixtures.project_files import (
    commit,
    drained,
    list_files,
    messages,
    put,
    refused,
    write_files,
)
from tests.fixtures.projects import ProjectsService

Code = grpc.StatusCode
METHODS = {
    method.name: policy_from(method)
    for file in (accounts_pb2, projects_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
USER = sorted(n for n, p in METHODS.items() if p.access == options_pb2.ACCESS_USER)
INTERNAL = sorted(n for n, p in METHODS.items() if p.access == options_pb2.ACCESS_INTERNAL)
PUBLIC = sorted(n for n, p in METHODS.items() if p.access == options_pb2.ACCESS_PUBLIC)
OF_A_PROJECT = sorted(
    {*USER, *INTERNAL} - {"GetMe", "CreateProject", "ListProjects", "WatchChanges"}
)


def _request(name: str, project_id: str) -> Any:
    """A good request of each method."""
    requests: dict[str, Any] = {
        "GetMe": accounts_pb2.GetMeRequest(),
        "CreateProject": projects_pb2.CreateProjectRequest(name="x"),
        "ListProjects": projects_pb2.ListProjectsRequest(),
        "GetProject": projects_pb2.GetProjectRequest(project_id=project_id),
        "UpdateProject": projects_pb2.UpdateProjectRequest(project_id=project_id, name="taken"),
        "DeleteProject": projects_pb2.DeleteProjectRequest(project_id=project_id),
        "ListFiles": projects_pb2.ListFilesRequest(project_id=project_id),
        "GetFile": projects_pb2.GetFileRequest(project_id=project_id, path="index.html"),
        "ListVersions": projects_pb2.ListVersionsRequest(project_id=project_id),
        "PutFiles": messages(project_id, put("index.html", b"overwritten")),
        "StreamFiles": projects_pb2.StreamFilesRequest(project_id=project_id),
        "CommitVersion": projects_pb2.CommitVersionRequest(
            project_id=project_id, cause=projects_pb2.VERSION_CAUSE_EDIT
        ),
        "ReportSandbox": projects_pb2.ReportSandboxRequest(
            project_id=project_id, status=projects_pb2.SANDBOX_STATUS_ACTIVE, revision=1
        ),
        "WatchChanges": projects_pb2.WatchChangesRequest(),
    }
    return requests[name]


def _call(service: ProjectsService, name: str, token: str, project_id: str = "prj-1") -> Any:
    stub: Any = service.accounts(token) if name == "GetMe" else service.projects(token)
    return getattr(stub, name)(_request(name, project_id))


def test_every_method_is_of_a_known_kind() -> None:
    assert PUBLIC == ["GetSigningKeys", "Login", "Logout", "Refresh", "Register"]
    assert INTERNAL == ["CommitVersion", "PutFiles", "ReportSandbox", "StreamFiles", "WatchChanges"]
    assert len(METHODS) == len(PUBLIC) + len(INTERNAL) + len(USER)


@pytest.mark.parametrize("name", [*USER, *INTERNAL])
async def test_without_a_token_nothing_is_answered(
    projects_service: ProjectsService, name: str
) -> None:
    async with refused(Code.UNAUTHENTICATED) as error:
        await drained(_call(projects_service, name, ""))
    assert error.reason == "TOKEN_MISSING"


@pytest.mark.parametrize("name", INTERNAL)
async def test_internal_methods_refuse_a_users_token(
    projects_service: ProjectsService, name: str
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    async with refused(Code.PERMISSION_DENIED) as error:
        await drained(_call(projects_service, name, user.token, project_id))
    assert error.reason == "INTERNAL_METHOD"


@pytest.mark.parametrize("name", sorted({*INTERNAL, *USER} - {"ReportSandbox", "WatchChanges"}))
async def test_a_service_must_say_for_which_user_it_calls(
    projects_service: ProjectsService, name: str
) -> None:
    key = read_signing_keys(projects_service.key_folder / "sandbox.jwk")[0]
    token = ServiceIdentity(key).token("projects", "")
    async with refused(Code.PERMISSION_DENIED) as error:
        await drained(_call(projects_service, name, token))
    assert error.reason == "USER_NEEDED"


@pytest.mark.parametrize("name", OF_A_PROJECT)
async def test_anothers_project_is_not_found_and_stays_as_it_is(
    projects_service: ProjectsService, name: str
) -> None:
    owner, other = await projects_service.user(), await projects_service.user()
    project_id = await owner.new_project("Mine")
    await write_files(owner.internal, project_id, {"index.html": b"secret"})
    await commit(owner.internal, project_id)
    get = projects_pb2.GetProjectRequest(project_id=project_id)
    before = await owner.projects.GetProject(get)

    stub: Any = other.internal if name in INTERNAL else other.projects
    async with refused(Code.NOT_FOUND) as theirs:
        await drained(getattr(stub, name)(_request(name, project_id)))
    async with refused(Code.NOT_FOUND) as nobodys:
        await drained(getattr(stub, name)(_request(name, "prj-00000000000000000000000000")))

    assert theirs.reason == nobodys.reason == "PROJECT_NOT_FOUND"
    assert theirs.error.message == nobodys.error.message
    assert await owner.projects.GetProject(get) == before
    files = await list_files(owner.projects, project_id)
    assert files == await list_files(owner.projects, project_id, version=1)


async def test_a_list_holds_nothing_of_anothers(projects_service: ProjectsService) -> None:
    owner, other = await projects_service.user(), await projects_service.user()
    await owner.new_project()
    found = await other.projects.ListProjects(projects_pb2.ListProjectsRequest())
    assert not found.projects


async def _me(service: ProjectsService, token: str) -> accounts_pb2.User:
    return await service.accounts(token).GetMe(accounts_pb2.GetMeRequest())


@pytest.fixture
def signing_key(projects_service: ProjectsService) -> SigningKey:
    return read_signing_keys(projects_service.key_folder / "users.jwks")[0]


async def test_an_expired_token_says_that_it_has_expired(
    projects_service: ProjectsService, signing_key: SigningKey
) -> None:
    user = await projects_service.user()
    me = await _me(projects_service, issue_user_token(signing_key, user.user_id, "s", 60))
    assert me.user_id == user.user_id
    async with refused(Code.UNAUTHENTICATED) as error:
        await _me(projects_service, issue_user_token(signing_key, user.user_id, "s", -60))
    assert error.reason == "TOKEN_EXPIRED"


async def test_a_token_for_somebody_else_by_a_changed_payload_is_refused(
    projects_service: ProjectsService,
) -> None:
    user, victim = await projects_service.user(), await projects_service.user()
    head, payload, signature = user.token.split(".")
    claims = orjson.loads(base64.urlsafe_b64decode(payload + "=="))
    claims["sub"] = victim.user_id
    forged = base64.urlsafe_b64encode(orjson.dumps(claims)).decode().rstrip("=")
    async with refused(Code.UNAUTHENTICATED) as error:
        await _me(projects_service, f"{head}.{forged}.{signature}")
    assert error.reason == "BAD_TOKEN"


async def test_unsigned_and_wrongly_signed_tokens_are_refused(
    projects_service: ProjectsService, signing_key: SigningKey
) -> None:
    user = await projects_service.user()
    now = int(time.time())
    claims = {
        "iss": "sandwright/projects",
        "aud": "sandwright",
        "sub": user.user_id,
        "iat": now,
        "exp": now + 60,
    }
    headers = {"kid": signing_key.kid, "typ": "at+jwt"}
    public = signing_key.public_jwk()["x"]
    stranger = SigningKey.generate(signing_key.kid)
    for token in (
        jwt.encode(claims, "", algorithm="none", headers=headers),
        jwt.encode(claims, public.ljust(32, "x"), algorithm="HS256", headers=headers),
        issue_user_token(stranger, user.user_id, "s", 60),
        issue_user_token(SigningKey.generate("unknown"), user.user_id, "s", 60),
        "not.a.token",
    ):
        async with refused(Code.UNAUTHENTICATED) as error:
            await _me(projects_service, token)
        assert error.reason == "BAD_TOKEN"


async def test_a_services_key_signs_no_users_token_and_the_users_key_no_services(
    projects_service: ProjectsService, key_folder: Path, signing_key: SigningKey
) -> None:
    user = await projects_service.user()
    service_key = read_signing_keys(key_folder / "sandbox.jwk")[0]
    as_sandbox = ServiceIdentity(SigningKey("sandbox", signing_key.private))
    for token in (
        issue_user_token(service_key, user.user_id, "s", 60),
        as_sandbox.token("projects", user.user_id),
        ServiceIdentity(service_key).token("generation", user.user_id),
    ):
        async with refused(Code.UNAUTHENTICATED):
            await _me(projects_service, token)


async def test_a_good_token_of_an_account_that_is_gone_opens_nothing(
    projects_service: ProjectsService, signing_key: SigningKey
) -> None:
    token = issue_user_token(signing_key, "usr-00000000000000000000000000", "s", 60)
    for name in ("GetMe", "CreateProject"):
        async with refused(Code.UNAUTHENTICATED) as error:
            await drained(_call(projects_service, name, token))
        assert error.reason == "ACCOUNT_GONE"


def test_the_stubs_cover_every_method_of_accounts() -> None:
    assert {*PUBLIC, "GetMe"} == {
        name for name in METHODS if hasattr(accounts_pb2_grpc.AccountsServiceServicer, name)
    }
