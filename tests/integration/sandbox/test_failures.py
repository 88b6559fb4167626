"""What happens when the vendor fails in the middle of things: the fake one fails on demand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from kit.errors import Conflict, QuotaExceeded, Unavailable
from kit.testing import eventually
from protos.projects.v1 import projects_pb2
from protos.sandbox.v1 import sandbox_pb2
from services.sandbox.model import SITE
from services.sandbox.vendor import DiskFull, SandboxLost, Upload
from tests.fakes.sandbox_vendor import FakeSandbox, FakeVendor
from tests.fixtures.postgres import DatabaseUrls
from tests.fixtures.projects import ProjectsService, TestUser
from tests.fixtures.sandbox import SandboxService, put, running_sandboxes


@pytest.fixture
def vendor() -> FakeVendor:
    return FakeVendor()


@pytest.fixture
async def service(
    sandbox_urls: DatabaseUrls, projects_service: ProjectsService, vendor: FakeVendor
) -> AsyncIterator[SandboxService]:
    async with running_sandboxes(
        sandbox_urls, projects_service, "", vendor, attempt_seconds=0.6
    ) as running:
        yield running


@pytest.fixture
async def user(projects_service: ProjectsService) -> TestUser:
    return await projects_service.user()


async def stored(user: TestUser, project_id: str) -> set[str]:
    request = projects_pb2.ListFilesRequest(project_id=project_id)
    return {file.path for file in (await user.projects.ListFiles(request)).files}


def files(sandbox: FakeSandbox) -> dict[str, bytes]:
    below = f"{SITE}/"
    return {p.removeprefix(below): d for p, d in sandbox.files.items() if p.startswith(below)}


def only(vendor: FakeVendor) -> FakeSandbox:
    (found,) = vendor.sandboxes.values()
    return found


async def test_a_vendor_that_fails_to_create_leaves_a_closed_row_and_one_try_for_all_who_wait(
    service: SandboxService, vendor: FakeVendor, user: TestUser
) -> None:
    project_id = await user.new_project()
    release = asyncio.Event()

    async def fail(*_: Any) -> None:
        await release.wait()
        raise Unavailable("down", reason="SANDBOX_VENDOR_DOWN", retry_after=1.0)

    vendor.hooks["create"] = fail
    caller = service.as_user(user)
    asked = [asyncio.create_task(caller.create(project_id)) for _ in range(5)]
    await eventually(lambda: "create" in vendor.calls)
    # All of them wait for the one that asks the vendor.
    release.set()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(answer, Unavailable) for answer in answers)
    assert (await caller.get(project_id)).close_reason == sandbox_pb2.CLOSE_REASON_FAILED
    del vendor.hooks["create"]
    assert (await caller.create(project_id)).status == sandbox_pb2.SANDBOX_STATUS_ACTIVE


async def test_a_sandbox_that_can_not_be_filled_is_ended(
    service: SandboxService, vendor: FakeVendor, user: TestUser
) -> None:
    project_id = await user.new_project()
    caller = service.as_user(user)
    await caller.upload(project_id, "a.txt", b"a")
    await caller.close(project_id)

    async def full(uploads: list[Upload]) -> None:
        if any(upload.path.startswith(SITE) for upload in uploads):
            raise DiskFull

    vendor.hooks["write"] = full
    with pytest.raises(QuotaExceeded) as found:
        await caller.create(project_id)
    assert found.value.reason == "SANDBOX_FULL"
    assert vendor.sandboxes == {}
    assert await service.sql("SELECT 1 FROM sandboxes WHERE status <> 'closed'") == []


async def test_a_caller_who_leaves_does_not_stop_the_creation(
    service: SandboxService, vendor: FakeVendor, user: TestUser
) -> None:
    project_id = await user.new_project()
    release = asyncio.Event()

    async def slow(*_: Any) -> None:
        await release.wait()

    vendor.hooks["create"] = slow
    caller = service.as_user(user)
    stub, request = caller.stub, sandbox_pb2.CreateSandboxRequest(project_id=project_id)
    call = stub.CreateSandbox(request, metadata=caller.metadata)
    await eventually(lambda: "create" in vendor.calls)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    waiting = asyncio.create_task(caller.create(project_id))
    release.set()
    assert (await waiting).status == sandbox_pb2.SANDBOX_STATUS_ACTIVE
    assert vendor.calls.count("create") == 1


async def test_a_creator_that_is_slow_but_alive_is_not_taken_over(
    service: SandboxService, vendor: FakeVendor, user: TestUser
) -> None:
    project_id = await user.new_project()
    release = asyncio.Event()

    async def slow(*_: Any) -> None:
        await release.wait()

    vendor.hooks["create"] = slow
    caller = service.as_user(user)
    asked = [asyncio.create_task(caller.create(project_id)) for _ in range(2)]
    first = (await eventually(lambda: _rows(service)))[0]["attempt_until"]

    async def renewed_twice() -> bool:
        now = (await _rows(service))[0]["attempt_until"]
        return bool((now - first).total_seconds() > 1)

    assert await eventually(renewed_twice)
    release.set()
    answers = await asyncio.gather(*asked)
    assert answers[0].sandbox_id == answers[1].sandbox_id
    assert vendor.calls.count("create") == 1


async def _rows(service: SandboxService) -> list[dict[str, Any]]:
    return await service.sql("SELECT * FROM sandboxes")


async def test_closing_a_sandbox_that_is_being_made_ends_it(
    service: SandboxService, vendor: FakeVendor, user: TestUser
) -> None:
    project_id = await user.new_project()
    release = asyncio.Event()

    async def slow(*_: Any) -> None:
        await release.wait()

    vendor.hooks["create"] = slow
    caller = service.as_user(user)
    making = asyncio.create_task(caller.create(project_id))
    await eventually(lambda: "create" in vendor.calls)
    await caller.close(project_id)
    release.set()
    with pytest.raises(Conflict) as found:
        await making
    assert found.value.reason == "SANDBOX_CLOSED"
    assert vendor.sandboxes == {}


async def test_a_full_disk_changes_neither_side(
    service: SandboxService, vendor: FakeVendor, user: TestUser
) -> None:
    project_id = await user.new_project()
    caller = service.as_user(user)
    await caller.upload(project_id, "a.txt", b"first")

    async def full(*_: Any) -> None:
        raise DiskFull

    vendor.hooks["write"] = full
    with pytest.raises(QuotaExceeded) as found:
        await service.as_service(user).write(project_id, *put("a.txt", b"2"), *put("b.txt", b"2"))
    assert found.value.reason == "SANDBOX_FULL"
    assert await stored(user, project_id) == {"a.txt"}
    assert files(only(vendor)) == {"a.txt": b"first"}
    assert not (await service.row(project_id))["unsettled"]


@pytest.mark.parametrize("moment", ["write", "rename"])
async def test_a_sandbox_that_dies_during_a_write_is_replaced_within_it(
    service: SandboxService, vendor: FakeVendor, user: TestUser, moment: str
) -> None:
    project_id = await user.new_project()
    await service.as_user(user).upload(project_id, "a.txt", b"first")
    doomed = only(vendor)

    async def die(*_: Any) -> None:
        if doomed.name in vendor.sandboxes:
            del vendor.sandboxes[doomed.name]
            raise SandboxLost

    vendor.hooks[moment] = die
    written = await service.as_service(user).write(project_id, *put("b.txt", b"second"))
    assert files(only(vendor)) == {"a.txt": b"first", "b.txt": b"second"}
    assert only(vendor) is not doomed
    assert written.sandbox.sandbox_url == only(vendor).url
    assert await stored(user, project_id) == {"a.txt", "b.txt"}


async def test_a_sandbox_that_is_closed_during_a_write_does_not_swallow_it(
    service: SandboxService, vendor: FakeVendor, user: TestUser
) -> None:
    project_id = await user.new_project()
    caller = service.as_user(user)
    await caller.upload(project_id, "a.txt", b"first")
    doomed = only(vendor)
    once = [True]

    async def close(*_: Any) -> None:
        # Closed in the rows, but the vendor has not ended it yet: the move still works.
        if once and doomed.name in vendor.sandboxes:
            once.clear()
            await service.sql(
                "UPDATE sandboxes SET status = 'closed', close_reason = 'user', closed_at = now()"
            )

    vendor.hooks["rename"] = close
    written = await service.as_service(user).write(project_id, *put("b.txt", b"second"))
    replacement = vendor.sandboxes[(await service.row(project_id))["vendor_id"]]
    assert replacement is not doomed
    assert files(replacement) == {"a.txt": b"first", "b.txt": b"second"}
    assert written.sandbox.sandbox_url == replacement.url


async def test_a_writer_that_leaves_in_the_middle_is_made_good(
    service: SandboxService, vendor: FakeVendor, user: TestUser
) -> None:
    project_id = await user.new_project()
    caller = service.as_user(user)
    await caller.upload(project_id, "a.txt", b"first")
    stuck = asyncio.Event()

    async def hang(*_: Any) -> None:
        stuck.set()
        await asyncio.Event().wait()

    vendor.hooks["rename"] = hang
    writing = asyncio.create_task(caller.upload(project_id, "a.txt", b"second"))
    await stuck.wait()
    writing.cancel()
    await asyncio.wait([writing])
    del vendor.hooks["rename"]
    assert files(only(vendor)) == {"a.txt": b"first"}
    await caller.upload(project_id, "b.txt", b"next")
    assert files(only(vendor)) == {"a.txt": b"second", "b.txt": b"next"}


async def test_a_vendor_that_can_not_end_a_sandbox_is_asked_again_by_the_sweep(
    service: SandboxService, vendor: FakeVendor, user: TestUser
) -> None:
    project_id = await user.new_project()
    caller = service.as_user(user)
    await caller.create(project_id)

    async def down(*_: Any) -> None:
        raise Unavailable("down")

    vendor.hooks["kill"] = down
    closed = await caller.close(project_id)
    assert closed.status == sandbox_pb2.SANDBOX_STATUS_CLOSED
    assert len(vendor.sandboxes) == 1
    del vendor.hooks["kill"]
    await service.parts.sweep.once()
    assert vendor.sandboxes == {}


async def test_a_sweep_goes_on_where_a_part_of_it_fails(
    service: SandboxService, vendor: FakeVendor, user: TestUser
) -> None:
    project_id = await user.new_project()
    caller = service.as_user(user)
    await caller.create(project_id)

    async def down(*_: Any) -> None:
        raise Unavailable("down")

    vendor.hooks["list"] = down
    await service.sql("UPDATE reports SET reported_revision = 0")
    await service.parts.sweep.once()
    assert await service.sql("SELECT 1 FROM reports WHERE reported_revision < revision") == []
    assert (await caller.get(project_id)).status == sandbox_pb2.SANDBOX_STATUS_ACTIVE
    del vendor.hooks["list"]


async def test_the_vendors_limit_is_later_than_ours_where_the_plan_allows(
    sandbox_urls: DatabaseUrls, projects_service: ProjectsService, user: TestUser
) -> None:
    project_id = await user.new_project()
    for maximum, expected in ((3600, 3600), (86_400, 4200)):
        vendor = FakeVendor()
        async with running_sandboxes(
            sandbox_urls, projects_service, "", vendor, vendor_maximum_seconds=maximum
        ) as service:
            await service.as_user(user).create(project_id)
            assert only(vendor).lifetime_seconds == expected
            await service.as_user(user).close(project_id)


async def test_calls_end_with_a_status_even_when_a_vendor_raises_something_unknown(
    service: SandboxService, vendor: FakeVendor, user: TestUser
) -> None:
    project_id = await user.new_project()

    async def broken(*_: Any) -> None:
        raise ZeroDivisionError("secret text")

    vendor.hooks["create"] = broken
    caller = service.as_user(user)
    request = sandbox_pb2.CreateSandboxRequest(project_id=project_id)
    with pytest.raises(grpc.aio.AioRpcError) as found:
        await caller.stub.CreateSandbox(request, metadata=caller.metadata)
    assert found.value.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in str(found.value.details())
    assert (await caller.get(project_id)).close_reason == sandbox_pb2.CLOSE_REASON_FAILED


@pytest.mark.parametrize("method", ["write", "rename"])
async def test_a_connection_that_breaks_with_its_sandbox_is_a_lost_sandbox_and_the_write_goes_on(
    service: SandboxService, vendor: FakeVendor, user: TestUser, method: str
) -> None:
    project_id = await user.new_project()
    await service.as_user(user).create(project_id)
    first = only(vendor)

    async def breaks(*_: Any) -> None:
        del vendor.hooks[method]
        del vendor.sandboxes[first.name]
        raise Unavailable("reset", reason="SANDBOX_VENDOR_DOWN", retry_after=1.0)

    vendor.hooks[method] = breaks
    await service.as_service(user).write(project_id, *put("index.html", b"after the crash"))
    assert only(vendor).name != first.name
    assert files(only(vendor)) == {"index.html": b"after the crash"}
    assert await stored(user, project_id) == {"index.html"}
