"""Replicas share work, give it back when they leave, and write nothing that is no longer theirs."""

from __future__ import annotations

import asyncio

import pytest

from kit.db import Database
from kit.testing import eventually
from protos.generation.v1 import generation_pb2 as pb
from services.generation.model import TextDelta
from services.generation.repository import Queue
from services.generation.worker import worker
from services.generation.worker.journal import Journal, LeaseLost
from tests.fixtures.generation import World
from tests.fixtures.history import kinds
from tests.fixtures.lost_work import seen, stuck
from tests.fixtures.scripted_model import done, page


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
