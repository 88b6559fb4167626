"""Files that go back to a version in the store while something else is done to the sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from kit.errors import FailedPrecondition
from kit.testing import eventually
from services.sandbox.model import SITE
from tests.fakes.sandbox_vendor import FakeVendor
from tests.fixtures.postgres import DatabaseUrls
from tests.fixtures.project_files import commit, write_files
from tests.fixtures.projects import ProjectsService, TestUser
from tests.fixtures.sandbox import SandboxService, put, running_sandboxes

KEPT = {"index.html": b"kept"}


@pytest.fixture
def vendor() -> FakeVendor:
    return FakeVendor()


@pytest.fixture
async def service(
    sandbox_urls: DatabaseUrls, projects_service: ProjectsService, vendor: FakeVendor
) -> AsyncIterator[SandboxService]:
    async with running_sandboxes(sandbox_urls, projects_service, "", vendor) as running:
        yield running


@pytest.fixture
async def user(projects_service: ProjectsService) -> TestUser:
    return await projects_service.user()


@pytest.fixture
async def project_id(user: TestUser) -> str:
    """A project whose files have gone on since its version."""
    project_id = await user.new_project()
    await write_files(user.internal, project_id, KEPT)
    await commit(user.internal, project_id, "gen-1")
    await write_files(user.internal, project_id, {"index.html": b"discarded", "more.txt": b"m"})
    return project_id


def reset_once(
    service: SandboxService, vendor: FakeVendor, method: str, user: TestUser, project_id: str
) -> None:
    """The next call of the vendor's method goes on when the files were reset and that has been noted."""

    async def reset(*_: Any) -> None:
        del vendor.hooks[method]
        before = (await service.row(project_id))["dirt"]
        await commit(user.internal, project_id, "gen-2", keep_head=True)

        async def noted() -> bool:
            return bool((await service.row(project_id))["dirt"] > before)

        assert await eventually(noted)

    vendor.hooks[method] = reset


async def shows_what_was_kept(service: SandboxService, vendor: FakeVendor, project_id: str) -> bool:
    async def settled() -> bool:
        return not (await service.row(project_id))["unsettled"]

    assert await eventually(settled)
    (sandbox,) = vendor.sandboxes.values()
    below = f"{SITE}/"
    found = {p.removeprefix(below): d for p, d in sandbox.files.items() if p.startswith(below)}
    return found == KEPT


async def test_a_reset_while_a_write_takes_effect_is_not_forgotten(
    service: SandboxService, vendor: FakeVendor, user: TestUser, project_id: str
) -> None:
    await service.as_user(user).create(project_id)
    reset_once(service, vendor, "rename", user, project_id)
    await service.as_user(user).upload(project_id, "late.txt", b"late")
    assert await shows_what_was_kept(service, vendor, project_id)


async def test_a_reset_while_a_write_is_refused_is_not_forgotten(
    service: SandboxService, vendor: FakeVendor, user: TestUser, project_id: str
) -> None:
    await service.as_user(user).create(project_id)
    reset_once(service, vendor, "write", user, project_id)
    with pytest.raises(FailedPrecondition):
        await service.as_service(user).write(
            project_id, *put("index.html", b"refused", expected="0" * 64)
        )
    assert await shows_what_was_kept(service, vendor, project_id)


async def test_a_reset_while_the_files_are_compared_is_not_forgotten(
    service: SandboxService, vendor: FakeVendor, user: TestUser, project_id: str
) -> None:
    await service.as_user(user).create(project_id)
    await service.sql("UPDATE sandboxes SET unsettled = true")
    # After the store's files were listed.
    reset_once(service, vendor, "hashes", user, project_id)
    await service.parts.sweep.once()
    assert await shows_what_was_kept(service, vendor, project_id)


async def test_a_reset_while_the_sandbox_is_made_is_not_forgotten(
    service: SandboxService, vendor: FakeVendor, user: TestUser, project_id: str
) -> None:
    # After the sandbox was filled.
    reset_once(service, vendor, "preview_answers", user, project_id)
    await service.as_user(user).create(project_id)
    assert await shows_what_was_kept(service, vendor, project_id)


async def test_a_sandbox_that_is_lost_in_a_write_is_replaced_by_what_the_store_has(
    service: SandboxService, vendor: FakeVendor, user: TestUser, project_id: str
) -> None:
    await service.as_user(user).create(project_id)
    (first,) = vendor.sandboxes

    async def vanish(*_: Any) -> None:
        del vendor.hooks["rename"]
        vendor.sandboxes.pop(first)
        # The new one is filled, then the files go back, and only then the write reaches it.
        reset_once(service, vendor, "preview_answers", user, project_id)

    vendor.hooks["rename"] = vanish
    await service.as_user(user).upload(project_id, "late.txt", b"late")
    assert first not in vendor.sandboxes
    assert await shows_what_was_kept(service, vendor, project_id)
