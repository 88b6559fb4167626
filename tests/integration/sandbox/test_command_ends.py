"""How commands end, and that nothing of them is left."""

from __future__ import annotations

import grpc
import pytest

from kit.errors import NotFound, Unavailable
from kit.status import peer_errors
from kit.testing import eventually
from protos.sandbox.v1 import sandbox_pb2
from tests.fixtures.engine import RunningEngine, start_engine
from tests.fixtures.postgres import DatabaseUrls
from tests.fixtures.projects import ProjectsService
from tests.fixtures.sandbox import Sandboxes, SandboxService, running_sandboxes
from tests.fixtures.sandbox_commands import alive, own_number


async def test_a_command_that_ends_by_a_signal_says_so(place: tuple[Sandboxes, str]) -> None:
    caller, project_id = place
    done = await caller.run_to_end(project_id, "kill -TERM $$")
    assert (done.exited.exit_code, done.exited.cause) == (-1, "SIGTERM")


async def test_a_command_that_takes_too_long_is_ended_and_what_it_wrote_is_told(
    place: tuple[Sandboxes, str],
) -> None:
    caller, project_id = place
    number = own_number()
    done = await caller.run_to_end(
        project_id, f"echo before; sh -c 'sleep {number} & wait'", timeout_seconds=1
    )
    assert done.stdout == "before\n"
    assert (done.exited.exit_code, done.exited.cause) == (-1, "timeout")
    assert done.exited.duration_ms >= 1000
    assert not await alive(caller, project_id, number)


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
    number = own_number()
    call = caller.run(project_id, command.format(n=number))
    await call.read()

    async def runs() -> list[str]:
        return await alive(caller, project_id, number)

    assert await eventually(runs)
    call.cancel()

    async def gone() -> bool:
        return not await alive(caller, project_id, number)

    assert await eventually(gone, seconds=5)


async def test_what_a_command_leaves_running_on_purpose_goes_on(
    place: tuple[Sandboxes, str],
) -> None:
    caller, project_id = place
    number = own_number()
    await caller.run_to_end(project_id, f"sleep {number} >/dev/null 2>&1 &")
    assert await alive(caller, project_id, number)


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
        return not await alive(caller, project_id, "head")

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
    number = own_number()
    async with running_sandboxes(sandbox_urls, projects_service, engine.url) as other:
        stub = Sandboxes(other.as_user(await projects_service.user()).stub, caller.token)
        call = stub.run(project_id, f"setsid sleep {number} & wait")
        await call.read()
        assert await eventually(lambda: alive(caller, project_id, number))
        other.parts.application.stopping.set()
        with pytest.raises(Unavailable) as found, peer_errors():
            await call.read()
        assert found.value.reason == "STOPPING"
        assert not await alive(caller, project_id, number)


async def test_what_a_dead_service_left_running_is_ended_by_another(
    sandbox_service: SandboxService, place: tuple[Sandboxes, str]
) -> None:
    caller, project_id = place
    number = own_number()
    row = await sandbox_service.row(project_id)
    live = await sandbox_service.parts.vendor.connect(row["vendor_id"])
    await sandbox_service.sql(
        "INSERT INTO commands (command_id, sandbox_id, owner_id, alive_until)"
        " VALUES ('cmd-left', :sandbox, :owner, now() - interval '1 second')",
        sandbox=row["sandbox_id"],
        owner=row["owner_id"],
    )
    await live.start(f"SANDWRIGHT_COMMAND=cmd-left setsid sleep {number}")
    assert await eventually(lambda: alive(caller, project_id, number))
    await sandbox_service.parts.commands.end_forsaken()
    assert not await alive(caller, project_id, number)
    rows = await sandbox_service.sql("SELECT ended_at FROM commands WHERE command_id = 'cmd-left'")
    assert rows[0]["ended_at"] is not None


async def test_a_deadline_that_passes_ends_the_command(place: tuple[Sandboxes, str]) -> None:
    caller, project_id = place
    number = own_number()
    request = sandbox_pb2.RunCommandRequest(project_id=project_id, command=f"sleep {number}")
    call = caller.stub.RunCommand(request, metadata=caller.metadata, timeout=1)
    with pytest.raises(grpc.aio.AioRpcError) as found:
        async for _ in call:
            pass
    assert found.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED

    async def gone() -> bool:
        return not await alive(caller, project_id, number)

    assert await eventually(gone, seconds=5)
