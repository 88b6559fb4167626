"""Workers die: the generation ends with another, and its log has no gap."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from kit.testing import eventually
from tests.fixtures.generation import World
from tests.fixtures.history import kinds
from tests.fixtures.lost_work import seen, stuck
from tests.fixtures.scripted_model import Answer, done, page

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
    # Who watched before saw an end that is about to be forged away.
    world.witness.watched.clear()
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
    # Who watched before saw an end that is about to be forged away.
    world.witness.watched.clear()
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


async def test_a_file_that_was_never_told_is_told_by_who_goes_on(world: World) -> None:
    world.model.script = [
        Answer().write("a.html", "1").write("b.html", "2").wait(asyncio.Event()),
        done(),
    ]
    person = await world.user()
    generation_id = await person.start()
    await eventually(lambda: _written(world, 2))
    await world.replicas.pop(0).kill()
    # As where its worker was lost between the second file and its event.
    await world.rows(
        "DELETE FROM generation_events WHERE kind = 'file_written' AND sequence = "
        "(SELECT max(sequence) FROM generation_events)"
    )
    await world.rows("UPDATE generations SET last_sequence = last_sequence - 1")
    other = await world.replica()
    events = await person.checked(generation_id, other)
    told = [event.file_written.path for event in events if event.HasField("file_written")]
    assert sorted(told) == ["a.html", "b.html"]
    assert events[-1].succeeded.files_written == 2


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
