"""How many commands are run, and how much of what they write is told."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import pytest

from kit.errors import QuotaExceeded
from kit.testing import eventually
from tests.fixtures.engine import RunningEngine
from tests.fixtures.postgres import DatabaseUrls
from tests.fixtures.projects import ProjectsService
from tests.fixtures.sandbox import running_sandboxes


async def test_output_beyond_the_limit_is_left_out(
    sandbox_urls: DatabaseUrls, projects_service: ProjectsService, engine: RunningEngine
) -> None:
    async with running_sandboxes(
        sandbox_urls, projects_service, engine.url, max_command_output_bytes=1000
    ) as service:
        user = await projects_service.user()
        project_id = await user.new_project()
        caller = service.as_user(user)
        await caller.create(project_id)
        exact = await caller.run_to_end(project_id, "printf %01000d 0")
        assert (len(exact.stdout), exact.exited.truncated) == (1000, False)
        over = await caller.run_to_end(project_id, "printf %01001d 0; echo more >&2; exit 4")
        assert (len(over.stdout), over.stderr, over.exited.truncated) == (1000, "", True)
        assert over.exited.exit_code == 4
        # A character is left out whole.
        cut = await caller.run_to_end(project_id, r"printf '%0999d\xe2\x82\xac' 0")
        assert (len(cut.stdout), cut.exited.truncated) == (999, True)


async def test_commands_at_once_are_limited_across_replicas(
    sandbox_urls: DatabaseUrls, projects_service: ProjectsService, engine: RunningEngine
) -> None:
    settings: dict[str, Any] = {
        "max_commands_at_once": 2,
        "deployment": f"test-{secrets.token_hex(6)}",
    }
    async with (
        running_sandboxes(sandbox_urls, projects_service, engine.url, **settings) as one,
        running_sandboxes(sandbox_urls, projects_service, engine.url, **settings) as other,
    ):
        user = await projects_service.user()
        project_id = await user.new_project()
        callers = [one.as_user(user), other.as_user(user)]
        await callers[0].create(project_id)

        async def attempt(number: int) -> object:
            try:
                command = "until [ -e go ]; do sleep 0.05; done"
                return await callers[number % 2].run_to_end(project_id, command)
            except QuotaExceeded as exc:
                return exc

        attempts = [asyncio.create_task(attempt(number)) for number in range(6)]
        assert await eventually(lambda: sum(one.done() for one in attempts) == 4)
        for error in [one.result() for one in attempts if one.done()]:
            assert isinstance(error, QuotaExceeded)
            assert error.reason == "COMMANDS"
            assert error.metadata == {"limit": "2", "used": "2"}
            assert error.retry_after
        await callers[0].upload(project_id, "go", b"")
        await asyncio.gather(*attempts)
        assert (await callers[1].run_to_end(project_id, "true")).exited.exit_code == 0


async def test_commands_a_minute_are_limited_and_it_is_told_when_to_come_back(
    sandbox_urls: DatabaseUrls, projects_service: ProjectsService, engine: RunningEngine
) -> None:
    async with running_sandboxes(
        sandbox_urls, projects_service, engine.url, max_commands_per_minute=3
    ) as service:
        user, other = await projects_service.user(), await projects_service.user()
        project_id, others = await user.new_project(), await other.new_project()
        caller = service.as_user(user)
        await caller.create(project_id)
        for _ in range(3):
            await caller.run_to_end(project_id, "true")
        with pytest.raises(QuotaExceeded) as found:
            await caller.run_to_end(project_id, "true")
        assert found.value.reason == "COMMANDS"
        assert found.value.metadata == {"limit": "3", "used": "3"}
        assert 0 < (found.value.retry_after or 0) <= 60
        await service.as_user(other).create(others)
        assert (await service.as_user(other).run_to_end(others, "true")).exited.exit_code == 0
        await service.sql("UPDATE commands SET begun_at = begun_at - interval '1 minute'")
        await caller.run_to_end(project_id, "true")
        assert (await caller.stats(project_id)).commands_run == 4
