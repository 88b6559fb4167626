"""The database, the sandbox service or the project goes away under a generation."""

from __future__ import annotations

import asyncio
from functools import partial

import grpc

from kit.errors import Unavailable
from kit.testing import eventually
from protos.generation.v1 import generation_pb2 as pb
from protos.projects.v1 import projects_pb2
from tests.fixtures.generation import Person, World
from tests.fixtures.history import kinds
from tests.fixtures.lost_work import seen, stuck
from tests.fixtures.scripted_model import Answer, done, page


async def test_lost_database_connections_do_not_lose_the_generation(world: World) -> None:
    gate = asyncio.Event()
    world.model.script = [
        Answer().text("a").wait(gate).write("index.html", "<p>x").stop("tool_use"),
        page(),
        done(),
    ]
    person = await world.user()
    generation_id = await person.start()
    await eventually(lambda: seen(world, generation_id, "text_delta"))
    await world.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE usename = current_user AND pid <> pg_backend_pid()"
    )
    gate.set()
    events = await person.checked(generation_id)
    assert kinds(events)[-1] == "succeeded"
    assert await person.paths() == ["index.html"]


async def test_a_sandbox_service_that_restarts_does_not_fail_the_generation(world: World) -> None:
    failures = iter([Unavailable("restarting"), Unavailable("restarting")])
    world.sandboxes.before_write = lambda _: next(failures, None)
    person = await world.user()
    events = await person.checked(await person.start())
    assert kinds(events)[-1] == "succeeded"
    assert len(world.sandboxes.writes) == 3


async def test_a_sandbox_service_that_stays_away_fails_it_in_words(world: World) -> None:
    await world.replicas.pop(0).stop()
    await world.replica(peer_patience_seconds=0.2)
    world.sandboxes.before_write = lambda _: Unavailable("gone")
    person = await world.user()
    events = await person.checked(await person.start())
    assert events[-1].failed.failure.reason == "SERVICE_UNAVAILABLE"


async def test_a_generation_of_a_deleted_project_ends_and_disappears(world: World) -> None:
    person, other = await world.user(), await world.user()
    kept = await other.start()
    await other.checked(kept)
    world.model.script = [stuck("file")]
    running = await person.start()
    waiting = await person.start()
    await eventually(lambda: seen(world, running, "file_written"))
    request = projects_pb2.DeleteProjectRequest(project_id=person.project_id)
    await person.user.projects.DeleteProject(request)
    await eventually(lambda: world.model.left == 1)
    for generation_id in (running, waiting):
        await eventually(partial(_gone, person, generation_id))

    async def ended() -> bool:
        rows = await world.rows("SELECT 1 FROM generations WHERE status IN ('queued', 'running')")
        return not rows

    await eventually(ended)
    assert (await other.get(kept)).status == pb.GENERATION_STATUS_SUCCEEDED
    ledger = await world.rows(
        "SELECT 1 FROM generation_usage WHERE generation_id = :id", id=running
    )
    assert ledger


async def _gone(person: Person, generation_id: str) -> bool:
    try:
        await person.get(generation_id)
    except grpc.aio.AioRpcError as exc:
        return exc.code() == grpc.StatusCode.NOT_FOUND
    return False
