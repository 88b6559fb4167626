"""Sleeping and waking while the vendor fails: the fake one fails on demand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from kit.errors import Unavailable
from protos.sandbox.v1 import sandbox_pb2
from services.sandbox.vendor import CannotPause
from tests.fakes.sandbox_vendor import FakeVendor
from tests.fixtures.postgres import DatabaseUrls
from tests.fixtures.projects import ProjectsService
from tests.fixtures.sandbox import SandboxService, running_sandboxes

ACTIVE = sandbox_pb2.SANDBOX_STATUS_ACTIVE
PAUSED = sandbox_pb2.SANDBOX_STATUS_PAUSED


@pytest.fixture
def vendor() -> FakeVendor:
    return FakeVendor()


@pytest.fixture
async def service(
    sandbox_urls: DatabaseUrls, projects_service: ProjectsService, vendor: FakeVendor
) -> AsyncIterator[SandboxService]:
    async with running_sandboxes(sandbox_urls, projects_service, "", vendor) as running:
        yield running


async def down(*_: Any) -> None:
    raise Unavailable("down", reason="SANDBOX_VENDOR_DOWN", retry_after=1.0)


async def test_a_vendor_that_can_not_pause_is_spared_and_the_store_keeps_the_files(
    service: SandboxService, vendor: FakeVendor, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    caller = service.as_user(user)
    await caller.upload(project_id, "index.html", b"kept")

    async def refuse(*_: Any) -> None:
        raise CannotPause

    vendor.hooks["pause"] = refuse
    paused = await caller.pause(project_id)
    assert paused.status == PAUSED
    assert vendor.sandboxes == {}
    assert (await service.row(project_id))["vendor_id"] == ""
    assert await caller.read(project_id, "index.html") == b"kept"
    assert (await caller.get(project_id)).sandbox_id == paused.sandbox_id


async def test_a_sandbox_that_can_not_be_woken_sleeps_on_and_wakes_later(
    service: SandboxService, vendor: FakeVendor, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    caller = service.as_user(user)
    created = await caller.create(project_id)
    await caller.pause(project_id)
    vendor.hooks["wake"] = down
    with pytest.raises(Unavailable):
        await caller.resume(project_id)
    assert (await caller.get(project_id)).status == PAUSED
    assert await service.sql("SELECT 1 FROM intervals WHERE ended_at IS NULL") == []
    del vendor.hooks["wake"]
    # Woken, and then its files can't be compared: it goes back to sleep at the vendor's too.
    vendor.hooks["hashes"] = down
    with pytest.raises(Unavailable):
        await caller.resume(project_id)
    assert [one.paused for one in vendor.sandboxes.values()] == [True]
    del vendor.hooks["hashes"]
    resumed = await caller.resume(project_id)
    assert (resumed.sandbox_id, resumed.status) == (created.sandbox_id, ACTIVE)


async def test_a_pause_that_the_vendor_did_not_hear_of_is_repeated_by_the_sweep(
    service: SandboxService, vendor: FakeVendor, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    caller = service.as_user(user)
    await caller.create(project_id)
    vendor.hooks["pause"] = down
    assert (await caller.pause(project_id)).status == PAUSED
    (sandbox,) = vendor.sandboxes.values()
    assert not sandbox.paused
    del vendor.hooks["pause"]
    assert (await service.parts.sweep.once()).paused == 1
    assert sandbox.paused


async def test_an_extension_that_the_vendor_refuses_promises_nothing(
    service: SandboxService, vendor: FakeVendor, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    caller = service.as_user(user)
    await caller.create(project_id)
    await service.sql("UPDATE sandboxes SET expires_at = now() + interval '60 s'")
    before = (await service.row(project_id))["expires_at"]
    vendor.hooks["last"] = down
    with pytest.raises(Unavailable):
        await caller.extend(project_id, 600)
    assert (await service.row(project_id))["expires_at"] == before
