"""How long sandboxes last, what their time is counted as, and what it costs: over the real engine."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from kit.errors import FailedPrecondition, Invalid, NotFound, QuotaExceeded, Unauthenticated
from kit.testing import eventually
from protos.projects.v1 import projects_pb2
from protos.sandbox.v1 import sandbox_pb2
from tests.fixtures.engine import RunningEngine
from tests.fixtures.postgres import DatabaseUrls
from tests.fixtures.projects import ProjectsService
from tests.fixtures.sandbox import Sandboxes, SandboxService, running_sandboxes

ACTIVE = sandbox_pb2.SANDBOX_STATUS_ACTIVE
PAUSED = sandbox_pb2.SANDBOX_STATUS_PAUSED
CLOSED = sandbox_pb2.SANDBOX_STATUS_CLOSED


async def lasts(service: SandboxService, project_id: str) -> float:
    """Seconds from a sandbox's start to its end."""
    row = await service.row(project_id)
    seconds: float = (row["expires_at"] - row["started_at"]).total_seconds()
    return seconds


async def test_a_sandbox_lasts_longer_and_is_never_shortened(
    sandbox_urls: DatabaseUrls, projects_service: ProjectsService, engine: RunningEngine
) -> None:
    async with running_sandboxes(
        sandbox_urls, projects_service, engine.url, vendor_maximum_seconds=86_400
    ) as service:
        user = await projects_service.user()
        project_id = await user.new_project()
        caller = service.as_user(user)
        await caller.create(project_id)
        extended = await caller.extend(project_id, 7200)
        left = extended.expires_at.seconds - datetime.now(UTC).timestamp()
        assert 7190 < left <= 7200
        assert (await caller.extend(project_id, 60)).expires_at == extended.expires_at
        assert (await caller.extend(project_id)).expires_at == extended.expires_at
        assert (await caller.get(project_id)).expires_at == extended.expires_at
        assert 7190 < (await caller.stats(project_id)).seconds_until_expiry <= 7200


async def test_the_vendor_learns_of_an_extension_and_of_what_is_left_after_sleep(
    sandbox_urls: DatabaseUrls, projects_service: ProjectsService, engine: RunningEngine
) -> None:
    """Without it the vendor would end the sandbox before the moment that its user was told."""
    async with running_sandboxes(
        sandbox_urls,
        projects_service,
        engine.url,
        lifetime_seconds=3,
        vendor_grace_seconds=0,
    ) as service:
        user = await projects_service.user()
        project_id = await user.new_project()
        caller = service.as_user(user)
        created = await caller.create(project_id)
        await caller.extend(project_id, 600)
        await caller.pause(project_id)
        await caller.resume(project_id)
        end = created.expires_at.ToDatetime(UTC)

        async def past_the_first_end() -> bool:
            return datetime.now(UTC) > end

        assert await eventually(past_the_first_end)
        assert await caller.list(project_id) == {}
        assert (await caller.get(project_id)).sandbox_id == created.sandbox_id


async def test_nobody_extends_beyond_the_longest_life(
    sandbox_urls: DatabaseUrls, projects_service: ProjectsService, engine: RunningEngine
) -> None:
    async with running_sandboxes(
        sandbox_urls,
        projects_service,
        engine.url,
        maximum_lifetime_seconds=5000,
        vendor_maximum_seconds=86_400,
    ) as service:
        user = await projects_service.user()
        project_id = await user.new_project()
        caller = service.as_user(user)
        await caller.create(project_id)
        before = await service.row(project_id)
        with pytest.raises(FailedPrecondition) as beyond:
            await caller.extend(project_id, 5001)
        assert beyond.value.reason == "SANDBOX_MAXIMUM"
        assert beyond.value.metadata["limit"] == "5000"
        assert "5000 seconds" in beyond.value.message
        latest = datetime.fromisoformat(beyond.value.metadata["latest"])
        assert (latest - before["started_at"]).total_seconds() == 5000
        assert (await service.row(project_id))["expires_at"] == before["expires_at"]
        # A sandbox of which nothing was used: at the limit it is still possible.
        await service.sql("UPDATE sandboxes SET started_at = now() + interval '60 s'")
        await caller.extend(project_id, 5000)
        for seconds in (-1, 86_401):
            with pytest.raises(Invalid, match="seconds"):
                await caller.extend(project_id, seconds)


async def test_the_ledger_counts_what_ran_and_nothing_else(
    sandbox_urls: DatabaseUrls, projects_service: ProjectsService, engine: RunningEngine
) -> None:
    async with running_sandboxes(
        sandbox_urls, projects_service, engine.url, prices="e2b", max_seconds_a_day=50_000
    ) as service:
        user, other = await projects_service.user(), await projects_service.user()
        project_id = await user.new_project()
        caller = service.as_user(user)
        await caller.create(project_id)
        await caller.pause(project_id)
        await caller.resume(project_id)
        await caller.close(project_id)
        rows = await service.sql("SELECT * FROM intervals ORDER BY interval_id")
        assert [row["ended_at"] is not None for row in rows] == [True, True]
        assert rows[0]["ended_at"] <= rows[1]["started_at"]
        # One hour in all, as far as this day goes back.
        await service.sql(
            "UPDATE intervals SET ended_at = date_trunc('day', now(), 'UTC') + interval '30 min',"
            " started_at = date_trunc('day', now(), 'UTC') - interval '30 min'"
        )
        usage = await caller.usage()
        assert usage.seconds_today == 3600
        day = datetime.now(UTC).day
        assert usage.seconds_this_month == (3600 if day == 1 else 7200)
        # Two processors and half a GiB, at the prices of the table.
        hours = usage.seconds_this_month / 3600
        assert usage.cost_usd_this_month == pytest.approx(hours * (2 * 0.0504 + 0.5 * 0.0162))
        assert usage.prices_as_of == "2026-11-20"
        assert usage.max_seconds_a_day == 50_000
        assert (usage.active_sandboxes, usage.paused_sandboxes) == (0, 0)
        ends = usage.day_resets_at.ToDatetime(UTC)
        assert (ends.hour, ends.minute) == (0, 0)
        assert ends > datetime.now(UTC)
        assert (await service.as_user(other).usage()).seconds_today == 0
        with pytest.raises(Unauthenticated):
            await Sandboxes(caller.stub, "").usage()


async def test_the_seconds_of_a_day_are_a_limit_for_what_starts_and_for_what_runs(
    sandbox_urls: DatabaseUrls, projects_service: ProjectsService, engine: RunningEngine
) -> None:
    async with running_sandboxes(
        sandbox_urls, projects_service, engine.url, max_seconds_a_day=100_000
    ) as service:
        user = await projects_service.user()
        plain = await user.new_project()
        request = projects_pb2.CreateProjectRequest(name="Kept", persistent_sandbox=True)
        kept = (await user.projects.CreateProject(request)).project_id
        asleep = await user.new_project()
        caller = service.as_user(user)
        for project_id in (plain, kept, asleep):
            await caller.create(project_id)
        await caller.pause(asleep)
        assert (await service.parts.sweep.once()).closed == 0
        # What is used up, whatever hour it is.
        await service.sql(
            "INSERT INTO intervals (sandbox_id, project_id, owner_id, deployment, place, cpu_count,"
            " memory_mib, started_at, ended_at) VALUES ('sbx-old', 'prj-old', :owner, 'd', 'local', 1,"
            " 512, date_trunc('day', now(), 'UTC'),"
            " date_trunc('day', now(), 'UTC') + interval '100000 s')",
            owner=user.user_id,
        )
        new = await user.new_project()
        for use in (caller.create(new), caller.resume(asleep)):
            with pytest.raises(QuotaExceeded) as spent:
                await use
            assert spent.value.reason == "SANDBOX_SECONDS"
            assert spent.value.metadata["limit"] == "100000"
            assert int(spent.value.metadata["used"]) >= 100_000
            assert datetime.fromisoformat(spent.value.metadata["resets_at"]) > datetime.now(UTC)
            assert spent.value.retry_after
            assert "100000 seconds a day" in spent.value.message
        with pytest.raises(NotFound):
            await caller.get(new)
        assert (await caller.get(asleep)).status == PAUSED
        counts = await service.parts.sweep.once()
        assert (counts.closed, counts.paused) == (1, 1)
        closed = await caller.get(plain)
        assert (closed.status, closed.close_reason) == (CLOSED, sandbox_pb2.CLOSE_REASON_EXPIRED)
        assert (await caller.get(kept)).status == PAUSED
        # Another user's seconds are another user's.
        other = await projects_service.user()
        free = await other.new_project()
        assert (await service.as_user(other).create(free)).status == ACTIVE


async def test_a_sandbox_lasts_no_longer_than_what_is_left_of_the_day(
    sandbox_urls: DatabaseUrls, projects_service: ProjectsService, engine: RunningEngine
) -> None:
    async with running_sandboxes(
        sandbox_urls,
        projects_service,
        engine.url,
        lifetime_seconds=300,
        max_seconds_a_day=20,
    ) as service:
        user = await projects_service.user()
        project_id = await user.new_project()
        caller = service.as_user(user)
        await caller.create(project_id)
        # In the day's last 20 seconds it may go on into the next.
        whole = await lasts(service, project_id)
        assert whole <= 20 or datetime.now(UTC).hour in {23, 0}
        if whole <= 20:
            with pytest.raises(QuotaExceeded) as beyond:
                await caller.extend(project_id, 60)
            assert beyond.value.reason == "SANDBOX_SECONDS"


async def test_a_hundred_creations_at_once_on_one_project_make_one_sandbox(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    caller = sandbox_service.as_user(user)
    answers = await asyncio.gather(*(caller.create(project_id) for _ in range(100)))
    assert len({answer.sandbox_id for answer in answers}) == 1
    assert {answer.status for answer in answers} == {ACTIVE}
    assert len(await sandbox_service.at_vendor()) == 1
    assert len(await sandbox_service.sql("SELECT 1 FROM intervals")) == 1


async def test_of_a_hundred_creations_at_once_at_limit_one_one_succeeds(
    sandbox_urls: DatabaseUrls, projects_service: ProjectsService, engine: RunningEngine
) -> None:
    async with running_sandboxes(
        sandbox_urls, projects_service, engine.url, max_active_per_user=1
    ) as service:
        user = await projects_service.user()
        projects = [await user.new_project() for _ in range(100)]
        caller = service.as_user(user)
        answers = await asyncio.gather(
            *(caller.create(project_id) for project_id in projects), return_exceptions=True
        )
        refused = [answer for answer in answers if isinstance(answer, QuotaExceeded)]
        assert len(refused) == 99
        assert {error.reason for error in refused} == {"SANDBOX_QUOTA"}
        assert len(await service.at_vendor()) == 1


async def test_a_creation_whose_caller_went_away_leaves_no_leak(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    caller = sandbox_service.as_user(user)
    call = caller.stub.CreateSandbox(
        sandbox_pb2.CreateSandboxRequest(project_id=project_id), metadata=caller.metadata
    )

    async def begun() -> bool:
        return bool(await sandbox_service.sql("SELECT 1 FROM sandboxes"))

    assert await eventually(begun)
    call.cancel()
    # It is made to its end, and is the project's: who asks again gets that one.
    created = await caller.create(project_id)
    rows = await sandbox_service.sql("SELECT sandbox_id FROM sandboxes")
    assert [row["sandbox_id"] for row in rows] == [created.sandbox_id]
    await sandbox_service.parts.sweep.once()
    assert len(await sandbox_service.at_vendor()) == 1
