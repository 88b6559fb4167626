"""Who may do what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from kit.errors import NotFound, PermissionDenied, Unauthenticated
from tests.fixtures.projects import ProjectsService
from tests.fixtures.sandbox import Sandboxes, SandboxService, put

Use = Callable[[Sandboxes, str], Awaitable[object]]
OPEN: dict[str, Use] = {
    "CreateSandbox": lambda caller, project: caller.create(project),
    "GetSandbox": lambda caller, project: caller.get(project),
    "CloseSandbox": lambda caller, project: caller.close(project),
    "ExtendSandbox": lambda caller, project: caller.extend(project, 60),
    "PauseSandbox": lambda caller, project: caller.pause(project),
    "ResumeSandbox": lambda caller, project: caller.resume(project),
    "ListSandboxFiles": lambda caller, project: caller.list(project),
    "ReadSandboxFile": lambda caller, project: caller.read(project, "index.html"),
    "UploadSandboxFile": lambda caller, project: caller.upload(project, "index.html", b"x"),
    "DeleteSandboxFile": lambda caller, project: caller.delete(project, "index.html"),
    "UploadArchive": lambda caller, project: caller.upload_archive(project, b"PK"),
    "DownloadArchive": lambda caller, project: caller.download_archive(project),
    "WatchSandboxFiles": lambda caller, project: anext(caller.watch(project)),
    "RunCommand": lambda caller, project: caller.run_to_end(project, "true"),
    "ListSandboxPorts": lambda caller, project: caller.ports(project),
    "GetSandboxStats": lambda caller, project: caller.stats(project),
}
INTERNAL: dict[str, Use] = {
    "EnsureSandbox": lambda caller, project: caller.ensure(project),
    "WriteFiles": lambda caller, project: caller.write(project, *put("index.html", b"x")),
    "WriteDraft": lambda caller, project: caller.draft(project, "index.html", b"x"),
    "DiscardSandbox": lambda caller, project: caller.discard(project, "gen-1"),
}


async def test_another_users_project_is_not_found_by_any_method(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    owner, other = await projects_service.user(), await projects_service.user()
    project_id = await owner.new_project()
    await sandbox_service.as_user(owner).upload(project_id, "index.html", b"mine")
    cases = [(sandbox_service.as_user(other), use) for use in OPEN.values()]
    cases += [(sandbox_service.as_service(other), use) for use in (OPEN | INTERNAL).values()]
    for caller, use in cases:
        with pytest.raises(NotFound) as found:
            await use(caller, project_id)
        assert found.value.reason == "PROJECT_NOT_FOUND"
    assert await sandbox_service.as_user(owner).read(project_id, "index.html") == b"mine"
    assert len(await sandbox_service.at_vendor()) == 1


async def test_a_user_can_not_call_what_is_internal(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    for use in INTERNAL.values():
        with pytest.raises(PermissionDenied):
            await use(sandbox_service.as_user(user), project_id)
    assert await sandbox_service.at_vendor() == set()


async def test_nothing_is_open_without_a_good_token(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    stub = sandbox_service.as_user(user).stub
    for token in ("", "nonsense", user.refresh_token):
        for use in (OPEN | INTERNAL).values():
            with pytest.raises(Unauthenticated):
                await use(Sandboxes(stub, token), project_id)
