"""Commands in a sandbox: what they write, what is refused, who is told."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from kit.errors import Invalid, NotFound
from kit.testing import eventually
from services.sandbox.model import Sandbox
from tests.fixtures.projects import ProjectsService
from tests.fixtures.sandbox import Sandboxes, SandboxService


async def test_output_exit_code_folder_and_variables_are_the_commands(
    place: tuple[Sandboxes, str],
) -> None:
    caller, project_id = place
    done = await caller.run_to_end(
        project_id,
        'pwd; echo "$GREETING"; echo oops >&2; mkdir -p sub; exit 3',
        env={"GREETING": "hello\nthere"},
    )
    assert done.stdout == "/home/user/site\nhello\nthere\n"
    assert done.stderr == "oops\n"
    assert (done.exited.exit_code, done.exited.cause, done.exited.truncated) == (3, "", False)
    assert (await caller.run_to_end(project_id, "pwd", cwd="sub")).stdout == "/home/user/site/sub\n"
    assert (await caller.run_to_end(project_id, "pwd", cwd="/tmp")).stdout == "/tmp\n"
    assert (await caller.run_to_end(project_id, "pwd", cwd="/")).stdout == "/\n"


async def test_output_comes_while_the_command_runs_and_characters_are_whole(
    place: tuple[Sandboxes, str],
) -> None:
    caller, project_id = place
    # The euro sign arrives in two pieces, a byte that is no UTF-8 is replaced.
    command = r"printf '\xe2\x82'; until [ -e go ]; do sleep 0.02; done; printf '\xac!\xff'"
    call = caller.run(project_id, f"echo first; {command}")
    started = await call.read()
    assert started.started.pid > 0
    assert (await call.read()).stdout.text == "first\n"
    await caller.run_to_end(project_id, "touch go")
    rest = ""
    while (event := await call.read()) is not grpc.aio.EOF:
        rest += event.stdout.text
    assert rest == "\u20ac!\ufffd"


async def test_many_small_writes_are_joined_to_few_events(place: tuple[Sandboxes, str]) -> None:
    caller, project_id = place
    done = await caller.run_to_end(
        project_id, "python3 -uc 'for i in range(20000): print(i)'; echo end >&2"
    )
    assert done.stdout == "".join(f"{i}\n" for i in range(20000))
    assert done.stderr == "end\n"
    assert max(len(event.stdout.text) for event in done.events) <= 32 * 1024
    assert len(done.events) < 3 + 2 * (5 + done.exited.duration_ms / 50)


async def test_what_can_not_be_run_is_refused_by_name(place: tuple[Sandboxes, str]) -> None:
    caller, project_id = place
    bad: list[tuple[dict[str, Any], str]] = [
        ({"command": ""}, "command"),
        ({"command": "x" * 32769}, "command"),
        ({"command": "true", "cwd": "../.."}, "cwd"),
        ({"command": "true", "timeout_seconds": 3601}, "timeout_seconds"),
        ({"command": "true", "timeout_seconds": -1}, "timeout_seconds"),
        ({"command": "true", "env": {"1X": ""}}, "env"),
        ({"command": "true", "env": {f"V{i}": "" for i in range(101)}}, "env"),
        ({"command": "true", "env": {f"V{i}": "x" * 32_000 for i in range(5)}}, "env"),
    ]
    for fields, name in bad:
        with pytest.raises(Invalid) as found:
            await caller.run_to_end(project_id, **fields)
        assert found.value.violations[0].field.startswith(name)
    with pytest.raises(NotFound) as missing:
        await caller.run_to_end(project_id, "true", cwd="nowhere")
    assert missing.value.reason == "FILE_NOT_FOUND"
    assert "nowhere" in missing.value.message
    most = {f"V{i}": "x" * 32_000 for i in range(4)}
    assert (await caller.run_to_end(project_id, "echo ${#V3}", env=most)).stdout == "32000\n"
    assert (await caller.stats(project_id)).commands_run == 2


async def test_without_a_sandbox_nothing_is_run(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    with pytest.raises(NotFound) as found:
        await sandbox_service.as_user(user).run_to_end(project_id, "true")
    assert found.value.reason == "SANDBOX_NOT_FOUND"
    assert await sandbox_service.sql("SELECT * FROM commands") == []


async def test_who_follows_commands_is_told_while_they_run_and_after(
    sandbox_service: SandboxService, place: tuple[Sandboxes, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    caller, project_id = place
    told: list[str] = []

    class Follower:
        async def after_command(self, sandbox: Sandbox) -> None:
            told.append(sandbox.project_id)
            raise RuntimeError("a follower's fault is none of the command's")

    monkeypatch.setattr(sandbox_service.parts.commands, "after", Follower())
    assert (await caller.run_to_end(project_id, "true")).exited.exit_code == 0
    assert told == [project_id]
    call = caller.run(project_id, "until [ -e go ]; do sleep 0.05; done")
    await call.read()
    assert await eventually(lambda: len(told) > 1)
    call.cancel()
    before = len(told)
    assert await eventually(lambda: len(told) > before)
