"""How many commands are run, and how much of what they write is told."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import pytest

from kit.errors import Invalid, NotFound, QuotaExceeded
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


_LONGEST_FOLDER = "/".join(["c" * 255] * 4) + "/"


async def test_what_is_at_a_limit_runs_and_what_is_one_over_is_refused_by_its_field(
    sandbox_urls: DatabaseUrls, projects_service: ProjectsService, engine: RunningEngine
) -> None:
    async with running_sandboxes(
        sandbox_urls, projects_service, engine.url, max_command_env_bytes=33_000
    ) as service:
        user = await projects_service.user()
        project_id = await user.new_project()
        caller = service.as_user(user)
        await caller.create(project_id)
        await caller.run_to_end(project_id, f"mkdir -p {_LONGEST_FOLDER}")

        at: list[tuple[dict[str, Any], str]] = [
            ({"command": "echo ok #".ljust(32_768, "x")}, "ok"),
            (
                {"command": "pwd | wc -c", "cwd": _LONGEST_FOLDER},
                str(1024 + len("/home/user/site\n")),
            ),
            ({"command": "echo ok", "timeout_seconds": 3600}, "ok"),
            ({"command": "env | grep -c ^V", "env": {f"V{n}": "" for n in range(100)}}, "100"),
            ({"command": "echo ok", "env": {"N" * 128: ""}}, "ok"),
            ({"command": "echo ${#V}", "env": {"V": "x" * 32_768}}, "32768"),
            ({"command": "echo ${#W}", "env": {"V": "x" * 32_768, "W": "y" * 228}}, "228"),
        ]
        for fields, stdout in at:
            assert (await caller.run_to_end(project_id, **fields)).stdout == f"{stdout}\n"

        over: list[tuple[dict[str, Any], str, str]] = [
            ({"command": "echo ok #".ljust(32_769, "x")}, "command", "32768"),
            ({"command": "x", "cwd": f"{_LONGEST_FOLDER}x"}, "cwd", "1024"),
            ({"command": "x", "timeout_seconds": 3601}, "timeout_seconds", "3600"),
            ({"command": "x", "env": {f"V{n}": "" for n in range(101)}}, "env", "100"),
            ({"command": "x", "env": {"N" * 129: ""}}, "env", "128"),
            ({"command": "x", "env": {"V": "x" * 32_769}}, "env", "32768"),
            ({"command": "x", "env": {"V": "x" * 32_768, "W": "y" * 229}}, "env", "33000"),
        ]
        for fields, field, limit in over:
            with pytest.raises(Invalid) as found:
                await caller.run_to_end(project_id, **fields)
            assert found.value.violations[0].field.startswith(field)
            assert limit in found.value.message
        assert (await caller.stats(project_id)).commands_run == len(at) + 1


async def test_a_folder_of_any_name_can_be_the_commands_and_what_is_none_is_told(
    sandbox_urls: DatabaseUrls, projects_service: ProjectsService, engine: RunningEngine
) -> None:
    async with running_sandboxes(sandbox_urls, projects_service, engine.url) as service:
        user = await projects_service.user()
        project_id = await user.new_project()
        caller = service.as_user(user)
        for folder in ("-rf", "a b'\"$(x)", "日本/é", "~"):
            await caller.upload(project_id, f"{folder}/here.txt", b"")
            for cwd in (folder, f"{folder}/", f"/home/user/site/{folder}//"):
                assert (await caller.run_to_end(project_id, "ls", cwd=cwd)).stdout == "here.txt\n"
        assert (await caller.run_to_end(project_id, "pwd", cwd="/")).stdout == "/\n"
        for none in ("-rf/here.txt", "-rf/here.txt/x", "n" * 256, "nowhere/"):
            with pytest.raises(NotFound) as found:
                await caller.run_to_end(project_id, "true", cwd=none)
            assert found.value.reason == "FILE_NOT_FOUND"
            assert found.value.message.startswith("cwd: ")
            assert none.rstrip("/") in found.value.message


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
