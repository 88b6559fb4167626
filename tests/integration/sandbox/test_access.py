"""Who may do what: every method by every kind of caller."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from kit.auth.keys import read_signing_keys
from kit.auth.tokens import ServiceIdentity
from kit.errors import (
    Invalid,
    NotFound,
    PermissionDenied,
    ServiceError,
    Unauthenticated,
)
from protos.sandbox.v1 import sandbox_pb2
from tests.fixtures.projects import ProjectsService
from tests.fixtures.sandbox import Sandboxes, SandboxService, put

Use = Callable[[Sandboxes, str], Awaitable[object]]


@dataclass(frozen=True)
class Row:
    """A method as it is used on a project. ``None``: it works; else the error that its use ends with."""

    use: Use
    owner: type[ServiceError] | None = None
    other: type[ServiceError] | None = NotFound
    service: type[ServiceError] | None = None
    """A service that acts for the owner."""
    service_of_nobody: type[ServiceError] | None = PermissionDenied
    """A service that acts for no user."""


def internal(use: Use) -> Row:
    """What only services may do, for the owner."""
    return Row(use, owner=PermissionDenied, other=PermissionDenied)


# In this order the owner's uses work one after the other.
TABLE: Mapping[str, Row] = {
    "CreateSandbox": Row(lambda caller, project: caller.create(project)),
    "GetSandbox": Row(lambda caller, project: caller.get(project)),
    "EnsureSandbox": internal(lambda caller, project: caller.ensure(project)),
    "UploadSandboxFile": Row(lambda caller, project: caller.upload(project, "index.html", b"x")),
    "WriteFiles": internal(lambda caller, project: caller.write(project, *put("a.html", b"x"))),
    "WriteDraft": internal(lambda caller, project: caller.draft(project, "index.html", b"x")),
    "ListSandboxFiles": Row(lambda caller, project: caller.list(project)),
    "ReadSandboxFile": Row(lambda caller, project: caller.read(project, "index.html")),
    "DownloadArchive": Row(lambda caller, project: caller.download_archive(project)),
    # Let in, and refused for what it sends.
    "UploadArchive": Row(
        lambda caller, project: caller.upload_archive(project, b"PK"),
        owner=Invalid,
        service=Invalid,
    ),
    "WatchSandboxFiles": Row(lambda caller, project: anext(caller.watch(project))),
    "RunCommand": Row(lambda caller, project: caller.run_to_end(project, "true")),
    "ListSandboxPorts": Row(lambda caller, project: caller.ports(project)),
    "GetSandboxStats": Row(lambda caller, project: caller.stats(project)),
    "ExtendSandbox": Row(lambda caller, project: caller.extend(project, 60)),
    "PauseSandbox": Row(lambda caller, project: caller.pause(project)),
    "ResumeSandbox": Row(lambda caller, project: caller.resume(project)),
    # Once more by somebody else it is not there.
    "DeleteSandboxFile": Row(
        lambda caller, project: caller.delete(project, "index.html"), service=NotFound
    ),
    "DiscardSandbox": internal(lambda caller, project: caller.discard(project, "gen-1")),
    # Each user's own, of no project.
    "GetSandboxUsage": Row(lambda caller, _: caller.usage(), other=None),
    "CloseSandbox": Row(lambda caller, project: caller.close(project), service=NotFound),
}


async def outcome(use: Use, caller: Sandboxes, project_id: str) -> type[ServiceError] | None:
    """How a use ends."""
    try:
        await use(caller, project_id)
    except ServiceError as exc:
        return type(exc)
    return None


def test_every_method_has_a_row() -> None:
    methods = sandbox_pb2.DESCRIPTOR.services_by_name["SandboxService"].methods_by_name
    assert set(TABLE) == set(methods)


async def test_every_method_by_owner_and_service(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    own, service = sandbox_service.as_user(user), sandbox_service.as_service(user)
    found = {
        name: (
            await outcome(row.use, own, project_id),
            await outcome(row.use, service, project_id),
        )
        for name, row in TABLE.items()
    }
    assert found == {name: (row.owner, row.service) for name, row in TABLE.items()}


async def test_every_method_by_another_user_and_by_a_service_for_others(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    owner, other = await projects_service.user(), await projects_service.user()
    project_id = await owner.new_project()
    own = sandbox_service.as_user(owner)
    await own.upload(project_id, "index.html", b"mine")
    key = read_signing_keys(projects_service.key_folder / "generation.jwk")[0]
    nobody = Sandboxes(own.stub, ServiceIdentity(key).token("sandbox", ""))
    found: dict[str, Any] = {}
    wanted: dict[str, Any] = {}
    for name, row in TABLE.items():
        found[name] = (
            await outcome(row.use, sandbox_service.as_user(other), project_id),
            await outcome(row.use, sandbox_service.as_service(other), project_id),
            await outcome(row.use, nobody, project_id),
        )
        for_another = None if row.other is None else NotFound
        wanted[name] = (row.other, for_another, row.service_of_nobody)
    assert found == wanted
    assert await own.read(project_id, "index.html") == b"mine"
    assert (await own.get(project_id)).status == sandbox_pb2.SANDBOX_STATUS_ACTIVE
    assert len(await sandbox_service.at_vendor()) == 1


async def test_another_users_project_is_one_that_is_not_there(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    owner, other = await projects_service.user(), await projects_service.user()
    theirs = await owner.new_project()
    caller = sandbox_service.as_user(other)
    told = []
    for project_id in (theirs, "prj-00000000000000000000000000"):
        with pytest.raises(NotFound) as found:
            await caller.create(project_id)
        told.append((found.value.reason, found.value.message))
    assert told[0] == told[1]
    assert told[0][0] == "PROJECT_NOT_FOUND"


@pytest.mark.parametrize("token", ["none", "nonsense", "refresh"])
async def test_nothing_is_open_without_a_good_token(
    sandbox_service: SandboxService, projects_service: ProjectsService, token: str
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    tokens = {"none": "", "nonsense": "nonsense", "refresh": user.refresh_token}
    caller = Sandboxes(sandbox_service.as_user(user).stub, tokens[token])
    found = {name: await outcome(row.use, caller, project_id) for name, row in TABLE.items()}
    assert found == dict.fromkeys(TABLE, Unauthenticated)
    assert await sandbox_service.at_vendor() == set()
