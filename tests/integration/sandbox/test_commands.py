"""Commands in a sandbox: what they write, how they end, and that nothing of them is left."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import grpc
import pytest

from kit.errors import Invalid, NotFound, QuotaExceeded, Unavailable
from kit.status import peer_errors
from kit.testing import eventually
from protos.sandbox.v1 import sandbox_pb2
from services.sandbox.model import Sandbox
from tests.fixtures.engine import RunningEngine, start_engine
from tests.fixtures.postgres import DatabaseUrls
from tests.fixtures.projects import ProjectsService
from tests.fixtures.sandbox import Sandboxes, SandboxService, running_sandboxes


@pytest.fixture
async def place(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> tuple[Sandboxes, str]:
    """A caller and a project with a sandbox."""
    user = await projects_service.user()
    project_id = await user.new_project()
    caller = sandbox_service.as_user(user)
    await caller.create(project_id)
    return caller, project_id


async def _alive(caller: Sandboxes, project_id: str, name: str) -> list[str]:
    """Processes in the sandbox that have this name in their command line."""
    # In two halves, so that it does not find itself.
    found = await caller.run_to_end(
        project_id,
        f"grep -lzE '^{name[:-1]}[{name[-1]}]$' /proc/[0-9]*/cmdline 2>/dev/null; true",
    )
    return found.stdout.split()


def _number() -> str:
    """Seconds to sleep that nobody else sleeps."""
    return str(100_000 + secrets.randbelow(900_000))


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


async def test_a_command_that_ends_by_a_signal_says_so(place: tuple[Sandboxes, str]) -> None:
    caller, project_id = place
    done = await caller.run_to_end(project_id, "kill -TERM $$")
    assert (done.exited.exit_code, done.exited.cause) == (-1, "SIGTERM")


async def test_a_command_that_takes_too_long_is_ended_and_what_it_wrote_is_told(
    place: tuple[Sandboxes, str],
) -> None:
    caller, project_id = place
    number = _number()
    done = await caller.run_to_end(
        project_id, f"echo before; sh -c 'sleep {number} & wait'", timeout_seconds=1
    )
    assert done.stdout == "before\n"
    assert (done.exited.exit_code, done.exited.cause) == (-1, "timeout")
    assert done.exited.duration_ms >= 1000
    assert not await _alive(caller, project_id, number)


@pytest.mark.parametrize(
    "command",
    [
        "sleep {n}",
        "sh -c 'sleep {n} & wait'",
        "setsid sleep {n} & wait",
        "setsid sh -c 'trap \"\" TERM HUP; sleep {n} & sleep {n}' & sleep {n}",
        "(setsid sh -c 'sleep {n} & exec setsid sleep {n}' >/dev/null 2>&1 &) ; sleep {n}",
        "env -i sleep {n} & wait",
    ],
)
async def test_a_cancelled_call_leaves_nothing_of_its_command(
    place: tuple[Sandboxes, str], command: str
) -> None:
    caller, project_id = place
    number = _number()
    call = caller.run(project_id, command.format(n=number))
    await call.read()

    async def runs() -> list[str]:
        return await _alive(caller, project_id, number)

    assert await eventually(runs)
    call.cancel()

    async def gone() -> bool:
        return not await _alive(caller, project_id, number)

    assert await eventually(gone, seconds=5)


async def test_what_a_command_leaves_running_on_purpose_goes_on(
    place: tuple[Sandboxes, str],
) -> None:
    caller, project_id = place
    number = _number()
    await caller.run_to_end(project_id, f"sleep {number} >/dev/null 2>&1 &")
    assert await _alive(caller, project_id, number)


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


async def test_a_sandbox_that_ends_under_a_command_ends_the_stream(
    sandbox_service: SandboxService, place: tuple[Sandboxes, str]
) -> None:
    caller, project_id = place
    call = caller.run(project_id, "sleep 600")
    await call.read()
    await caller.close(project_id)
    with pytest.raises(NotFound) as found, peer_errors():
        await call.read()
    assert found.value.reason == "SANDBOX_NOT_FOUND"


async def test_an_engine_that_dies_under_a_command_ends_the_stream(
    sandbox_urls: DatabaseUrls,
    projects_service: ProjectsService,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    engine = start_engine(tmp_path_factory.mktemp("engine"), pool_size=0)
    try:
        async with running_sandboxes(sandbox_urls, projects_service, engine.url) as service:
            user = await projects_service.user()
            project_id = await user.new_project()
            caller = service.as_user(user)
            await caller.create(project_id)
            call = caller.run(project_id, "sleep 600")
            await call.read()
            engine.process.kill()
            with pytest.raises((NotFound, Unavailable)), peer_errors():
                await call.read()
            again = start_engine(engine.data_dir, port=engine.port, pool_size=0)
            try:
                await service.parts.sweep.once()
            finally:
                engine.process.wait()
                engine = again
    finally:
        engine.stop()


async def test_a_caller_who_does_not_read_stalls_nobody_and_is_ended_in_time(
    place: tuple[Sandboxes, str],
) -> None:
    caller, project_id = place
    stuck = caller.run(project_id, "yes | head -c 9000000; echo done >&2", timeout_seconds=2)
    assert (await stuck.read()).started.pid
    for _ in range(5):
        assert (await caller.run_to_end(project_id, "echo hi")).stdout == "hi\n"

    async def ended() -> bool:
        return not await _alive(caller, project_id, "head")

    assert await eventually(ended)
    stuck.cancel()


async def test_a_service_that_stops_ends_its_commands(
    sandbox_service: SandboxService,
    sandbox_urls: DatabaseUrls,
    projects_service: ProjectsService,
    engine: RunningEngine,
    place: tuple[Sandboxes, str],
) -> None:
    caller, project_id = place
    number = _number()
    async with running_sandboxes(sandbox_urls, projects_service, engine.url) as other:
        stub = Sandboxes(other.as_user(await projects_service.user()).stub, caller.token)
        call = stub.run(project_id, f"setsid sleep {number} & wait")
        await call.read()
        assert await eventually(lambda: _alive(caller, project_id, number))
        other.parts.application.stopping.set()
        with pytest.raises(Unavailable) as found, peer_errors():
            await call.read()
        assert found.value.reason == "STOPPING"
        assert not await _alive(caller, project_id, number)


async def test_what_a_dead_service_left_running_is_ended_by_another(
    sandbox_service: SandboxService, place: tuple[Sandboxes, str]
) -> None:
    caller, project_id = place
    number = _number()
    row = await sandbox_service.row(project_id)
    live = await sandbox_service.parts.vendor.connect(row["vendor_id"])
    await sandbox_service.sql(
        "INSERT INTO commands (command_id, sandbox_id, owner_id, alive_until)"
        " VALUES ('cmd-left', :sandbox, :owner, now() - interval '1 second')",
        sandbox=row["sandbox_id"],
        owner=row["owner_id"],
    )
    await live.start(f"SANDWRIGHT_COMMAND=cmd-left setsid sleep {number}")
    assert await eventually(lambda: _alive(caller, project_id, number))
    await sandbox_service.parts.commands.end_forsaken()
    assert not await _alive(caller, project_id, number)
    rows = await sandbox_service.sql("SELECT ended_at FROM commands WHERE command_id = 'cmd-left'")
    assert rows[0]["ended_at"] is not None


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


async def test_a_deadline_that_passes_ends_the_command(place: tuple[Sandboxes, str]) -> None:
    caller, project_id = place
    number = _number()
    request = sandbox_pb2.RunCommandRequest(project_id=project_id, command=f"sleep {number}")
    call = caller.stub.RunCommand(request, metadata=caller.metadata, timeout=1)
    with pytest.raises(grpc.aio.AioRpcError) as found:
        async for _ in call:
            pass
    assert found.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED

    async def gone() -> bool:
        return not await _alive(caller, project_id, number)

    assert await eventually(gone, seconds=5)
