"""Workers die, replicas come and go, services restart: the generation ends, and its log has no gap."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import grpc
import psutil
import pytest

from kit.db import Database
from kit.errors import Unavailable
from kit.testing import eventually, free_port
from protos.generation.v1 import generation_pb2 as pb
from protos.generation.v1 import generation_pb2_grpc
from protos.projects.v1 import projects_pb2
from services.generation.model import TextDelta
from services.generation.repository import Queue
from services.generation.worker import worker
from services.generation.worker.journal import Journal, LeaseLost
from tests.fixtures.generation import Person, World
from tests.fixtures.history import check_sequence, kinds
from tests.fixtures.scripted_model import Answer, done, page

ROOT = Path(__file__).parents[3]


async def seen(world: World, generation_id: str, kind: str) -> bool:
    query = "SELECT 1 FROM generation_events WHERE generation_id = :id AND kind = :kind"
    return bool(await world.rows(query, id=generation_id, kind=kind))


def stuck(*before: str) -> Answer:
    """An answer that says what it is told to and then nothing more."""
    answer = Answer()
    if "text" in before:
        answer.text("I begin.")
    if "file" in before:
        answer.write("index.html", "<p>first try")
    if "half" in before:
        answer.half_write("half.html", "<p>half")
    return answer.wait(asyncio.Event())


POINTS = {
    "before the first word": ([stuck], "started"),
    "after a text": ([lambda: stuck("text")], "text_delta"),
    "in the middle of a file": ([lambda: stuck("half")], "file_delta"),
    "after a file": ([lambda: stuck("file")], "file_written"),
    "in the second turn": ([page, lambda: stuck("text")], "usage"),
}


@pytest.mark.parametrize(("answers", "point"), POINTS.values(), ids=POINTS.keys())
async def test_a_killed_worker_s_generation_goes_on_with_another(
    world: World, answers: list[Callable[[], Answer]], point: str
) -> None:
    world.model.script = [answer() for answer in answers]
    person = await world.user()
    generation_id = await person.start()
    await eventually(lambda: seen(world, generation_id, point))
    await eventually(lambda: len(world.model.requests) == len(answers))
    other = await world.replica()
    await world.replicas.pop(0).kill()
    events = await person.checked(generation_id, other)
    names = kinds(events)
    assert names[-1] == "succeeded"
    assert names.count("started") == 1
    restarted = [e.turn_restarted for e in events if e.WhichOneof("event") == "turn_restarted"]
    assert [(r.turn, r.reason) for r in restarted] == [(len(answers), "worker lost")]
    # The transcript is the one that was kept: the turn under way is asked for with the same prefix.
    assert world.model.requests[len(answers)] == world.model.requests[len(answers) - 1]
    (row,) = await world.rows("SELECT epoch, turns FROM generations")
    assert (row["epoch"], row["turns"]) == (2, 2)


async def test_a_worker_lost_between_version_and_last_event_makes_no_second_version(
    world: World,
) -> None:
    person = await world.user()
    generation_id = await person.start()
    await person.checked(generation_id)
    # As if the worker had died right before its last transaction.
    await world.rows(
        "DELETE FROM generation_events WHERE generation_id = :id AND kind = 'succeeded'",
        id=generation_id,
    )
    await world.rows(
        "UPDATE generations SET status = 'running', last_sequence = last_sequence - 1, version = 0, "
        "lease_until = clock_timestamp() WHERE generation_id = :id",
        id=generation_id,
    )
    asked = len(world.model.requests)
    events = await person.checked(generation_id)
    assert events[-1].succeeded.version == 1
    assert len(await person.versions()) == 1
    assert len(world.model.requests) == asked


async def test_a_worker_lost_while_failing_does_not_end_well(world: World) -> None:
    world.model.script = [page(), Answer().text("no").stop("refusal")]
    person = await world.user()
    generation_id = await person.start()
    await person.checked(generation_id)
    await world.rows(
        "DELETE FROM generation_events WHERE generation_id = :id AND kind = 'failed'",
        id=generation_id,
    )
    await world.rows(
        "UPDATE generations SET status = 'running', last_sequence = last_sequence - 1, "
        "lease_until = clock_timestamp() WHERE generation_id = :id",
        id=generation_id,
    )
    events = await person.checked(generation_id)
    assert events[-1].failed.failure.reason == "MODEL_REFUSED"
    assert events[-1].failed.partial_version == 1
    assert len(await person.versions()) == 1


async def test_a_file_that_arrived_untold_is_told_by_who_goes_on(world: World) -> None:
    world.model.script = [
        Answer().write("a.html", "1").write("b.html", "2").wait(asyncio.Event()),
        done(),
    ]
    person = await world.user()
    generation_id = await person.start()
    await eventually(lambda: _written(world, 2))
    await world.replicas.pop(0).kill()
    # As a write does whose worker was lost before its event.
    await person.edit("a.html", b"newer")
    other = await world.replica()
    events = await person.checked(generation_id, other)
    assert kinds(events)[-2:] == ["file_written", "succeeded"]
    assert events[-2].file_written.path == "a.html"
    assert events[-2].file_written.size_bytes == len(b"newer")


async def _written(world: World, count: int) -> bool:
    rows = await world.rows("SELECT 1 FROM generation_events WHERE kind = 'file_written'")
    return len(rows) == count


async def test_a_generation_whose_workers_are_always_lost_is_given_up(world: World) -> None:
    world.model.script = [stuck("file")]
    person = await world.user()
    generation_id = await person.start()
    await eventually(lambda: seen(world, generation_id, "file_written"))
    await world.replicas.pop(0).kill()
    await world.rows("UPDATE generations SET epoch = 100")
    other = await world.replica()
    events = await person.checked(generation_id, other)
    assert events[-1].failed.failure.reason == "WORKER_LOST"


async def test_a_draining_replica_gives_its_work_back_at_once(world: World) -> None:
    await world.replicas.pop(0).stop()
    first = await world.replica(lease_seconds=600, lease_renew_seconds=200)
    world.model.script = [stuck("file"), page(), done()]
    person = await world.user()
    generation_id = await person.start()
    await eventually(lambda: seen(world, generation_id, "file_written"))
    other = await world.replica()
    world.replicas.remove(first)
    await first.stop()
    # With a lease of ten minutes nothing but giving it back can be the reason that it goes on.
    events = await person.checked(generation_id, other)
    assert kinds(events)[-1] == "succeeded"


async def test_a_draining_replica_gives_back_what_waits_for_a_file_after_the_model_s_turn(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_DRAIN_SECONDS", 0.2)
    await world.replicas.pop(0).stop()
    first = await world.replica(lease_seconds=600, lease_renew_seconds=200)

    async def forever() -> None:
        world.sandboxes.before_write = None
        await asyncio.Event().wait()

    world.sandboxes.before_write = lambda _: forever()
    world.model.script = [page(), page(), done()]
    person = await world.user()
    generation_id = await person.start()
    await eventually(lambda: world.sandboxes.writes)
    other = await world.replica()
    world.replicas.remove(first)
    await first.stop()
    events = await person.checked(generation_id, other)
    assert kinds(events)[-1] == "succeeded"
    assert await person.paths() == ["index.html"]


async def test_two_replicas_share_the_work_and_run_each_generation_once(world: World) -> None:
    await world.replica()
    await world.replica()
    people = [await world.user() for _ in range(4)]
    started = [(person, await person.start(f"{n}")) for n in range(3) for person in people]
    for person, generation_id in started:
        assert kinds(await person.checked(generation_id))[-1] == "succeeded"
    rows = await world.rows("SELECT epoch, turns FROM generations")
    assert [(row["epoch"], row["turns"]) for row in rows] == [(1, 2)] * 12
    assert len(world.model.requests) == 24


async def test_a_worker_whose_lease_was_taken_writes_nothing_and_stops(world: World) -> None:
    world.model.script = [stuck("text"), stuck("text")]
    person = await world.user()
    generation_id = await person.start()
    await eventually(lambda: seen(world, generation_id, "text_delta"))
    # Somebody else takes it, as after a long pause of the first worker's machine.
    await world.rows("UPDATE generations SET lease_until = clock_timestamp(), epoch = epoch + 1")
    (row,) = await world.rows("SELECT last_sequence FROM generations")
    await eventually(lambda: world.model.left == 1)
    other = await world.rows("SELECT epoch, last_sequence FROM generations")
    assert other[0]["epoch"] >= 2
    await person.stub().CancelGeneration(pb.CancelGenerationRequest(generation_id=generation_id))
    events = await person.checked(generation_id)
    assert kinds(events)[-1] == "cancelled"
    assert kinds(events).count("started") == 1
    assert len(events) > row["last_sequence"]


async def test_every_write_of_a_stale_worker_is_refused(world: World) -> None:
    await world.replicas.pop(0).stop()
    await world.replica(workers=1)
    blocker, person = await world.user(), await world.user()
    world.model.script = [stuck()]
    await blocker.start()
    await eventually(lambda: world.model.requests)
    await person.start()
    database = Database(world.urls.generation, pool_size=3, name="test")
    try:
        jobs = []
        for _ in range(2):
            async with database.begin() as connection:
                jobs.append(await Queue(connection).claim("test", 0, 2))
        stale, fresh = jobs
        assert stale
        assert fresh
        assert (stale.generation_id, fresh.epoch) == (fresh.generation_id, stale.epoch + 1)
        journal = Journal(database, stale, 0.01)
        for write in (
            journal.write(TextDelta("x")),
            journal.write(restarts=7),
        ):
            with pytest.raises(LeaseLost):
                await write
        await journal.add(TextDelta("late"))
        await asyncio.gather(*journal._writing)
        with pytest.raises(LeaseLost):
            await journal.add(TextDelta("later"))
        await journal.close()
        query = "SELECT last_sequence, restarts FROM generations WHERE generation_id = :id"
        (row,) = await world.rows(query, id=stale.generation_id)
        assert (row["last_sequence"], row["restarts"]) == (1, 0)
    finally:
        await database.close()


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


@asynccontextmanager
async def process(world: World, port: int) -> AsyncIterator[psutil.Popen]:
    """``python -m services.generation`` as a deployment runs it."""
    settings = world.settings()
    environment = {
        "PATH": os.environ["PATH"],
        "GENERATION_PORT": str(port),
        "GENERATION_DATABASE_URL": settings.database_url,
        "GENERATION_SERVICE_KEY_FILE": str(settings.service_key_file),
        "SERVICE_KEYS_FILE": str(settings.service_keys_file),
        "PROJECTS_ADDRESS": settings.projects_address,
        "SANDBOX_ADDRESS": settings.sandbox_address,
        "ANTHROPIC_API_KEY": "a-key-nobody-may-see",
        "ANTHROPIC_BASE_URL": world.model.url,
        "GENERATION_LEASE_SECONDS": "2",
        "GENERATION_LEASE_RENEW_SECONDS": "0.5",
        "GENERATION_REPAIR_ROUNDS": "0",
    }
    child = psutil.Popen(
        [sys.executable, "-m", "services.generation"],
        cwd=ROOT,
        env=environment,
        stderr=subprocess.PIPE,
    )
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            await asyncio.wait_for(channel.channel_ready(), 60)
        yield child
    finally:
        with suppress(psutil.NoSuchProcess):
            child.kill()
        await asyncio.to_thread(child.wait)
        child.stderr.close()


async def test_a_process_killed_in_the_middle_is_taken_over_by_the_next(world: World) -> None:
    await world.replicas.pop(0).stop()
    world.model.script = [stuck("file", "half")]
    person = await world.user()
    port = free_port()
    collected: list[pb.GenerationEvent] = []
    async with process(world, port) as child, _stub(port) as stub:
        metadata = (("authorization", f"Bearer {person.user.token}"),)
        started = await stub.StartGeneration(
            pb.StartGenerationRequest(project_id=person.project_id, prompt="Survive"),
            metadata=metadata,
            wait_for_ready=True,
        )
        with suppress(grpc.aio.AioRpcError):
            request = pb.WatchGenerationRequest(generation_id=started.generation_id)
            async for event in stub.WatchGeneration(request, metadata=metadata):
                collected.append(event)
                if event.WhichOneof("event") == "file_written":
                    child.send_signal(signal.SIGKILL)
    async with process(world, port) as child, _stub(port) as stub:
        request = pb.WatchGenerationRequest(
            generation_id=started.generation_id, after_sequence=collected[-1].sequence
        )
        call = stub.WatchGeneration(request, metadata=metadata, wait_for_ready=True)
        collected += [event async for event in call]
        child.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(child.wait) == 0
        logged = child.stderr.read().decode()
    check_sequence(collected)
    assert kinds(collected)[-1] == "succeeded"
    assert b"Survive" in await person.read("index.html")
    assert "a-key-nobody-may-see" not in logged
    assert "Survive" not in logged
    assert person.user.token not in logged


@asynccontextmanager
async def _stub(port: int) -> AsyncIterator[generation_pb2_grpc.GenerationServiceAsyncStub]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield generation_pb2_grpc.GenerationServiceStub(channel)
