"""Success, failure, cancellation and the cost limit: what becomes of the files, the head and the sandbox."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import datetime
from decimal import Decimal

import pytest

from kit.testing import eventually
from protos.generation.v1 import generation_pb2 as pb
from protos.projects.v1 import projects_pb2
from services.generation.sandbox_peer import SandboxPeer
from tests.fixtures.generation import Person, World
from tests.fixtures.history import kinds
from tests.fixtures.scripted_model import Answer, done, page, refused


async def cancel(person: Person, generation_id: str) -> pb.Generation:
    request = pb.CancelGenerationRequest(generation_id=generation_id)
    found: pb.Generation = await person.stub().CancelGeneration(request)
    return found


async def until(person: Person, generation_id: str, name: str) -> None:
    """Waits until the log has such an event."""

    async def seen() -> bool:
        rows = await person.world.rows(
            "SELECT 1 FROM generation_events WHERE generation_id = :id AND kind = :name",
            id=generation_id,
            name=name,
        )
        return bool(rows)

    await eventually(seen)


async def test_a_failed_first_generation_leaves_an_empty_project_and_no_sandbox(
    world: World,
) -> None:
    world.model.script = [page(), refused(400)]
    person = await world.user()
    generation_id = await person.start()
    events = await person.checked(generation_id)
    failed = events[-1].failed
    assert failed.failure.reason == "MODEL_REJECTED"
    assert failed.partial_version == 1
    assert await person.paths() == []
    assert world.sandboxes.discarded == [person.project_id]
    (version,) = await person.versions()
    assert version.partial
    assert not version.head
    found = await person.get(generation_id)
    assert found.status == pb.GENERATION_STATUS_FAILED
    assert found.version == 1


async def test_a_failed_follow_up_goes_back_to_what_the_user_had(world: World) -> None:
    person = await world.user()
    await person.checked(await person.start("First"))
    await person.edit("notes.txt", b"my own words")
    world.model.script = [page(content="broken"), refused(400)]
    events = await person.checked(await person.start("Second"))
    assert kinds(events)[-1] == "failed"
    assert await person.paths() == ["index.html", "notes.txt"]
    assert b"First" in await person.read("index.html")
    assert await person.read("notes.txt") == b"my own words"
    causes = [(v.cause, v.partial, v.head) for v in await person.versions()]
    assert causes == [
        (projects_pb2.VERSION_CAUSE_GENERATION, True, False),
        (projects_pb2.VERSION_CAUSE_EDIT, False, True),
        (projects_pb2.VERSION_CAUSE_GENERATION, False, False),
    ]
    assert world.sandboxes.discarded == []


async def test_a_model_that_writes_nothing_fails_in_an_empty_project(world: World) -> None:
    world.model.script = [done("I would rather not.")]
    person = await world.user()
    events = await person.checked(await person.start())
    assert events[-1].failed.failure.reason == "NO_FILES"
    assert events[-1].failed.partial_version == 0


async def test_a_follow_up_that_changes_nothing_succeeds_with_the_head(world: World) -> None:
    person = await world.user()
    await person.checked(await person.start())
    world.model.script = [done("All is well as it is.")]
    events = await person.checked(await person.start("Is it fine?"))
    assert events[-1].succeeded.version == 1
    assert events[-1].succeeded.files_written == 0
    assert len(await person.versions()) == 1


async def test_a_follow_up_shows_the_project_to_the_model(world: World) -> None:
    person = await world.user()
    await person.checked(await person.start("First"))
    await person.edit("logo.png", b"\x89PNG\x00\xff")
    await person.edit("data.json", b"\xff\xfe not text")
    await person.checked(await person.start("Make it blue"))
    shown, asked = world.model.requests[-2]["messages"][0]["content"]
    assert asked["text"] == "Make it blue"
    assert "logo.png (6 bytes)" in shown["text"]
    assert '<file path="index.html">\n<!doctype html><h1>First</h1>\n</file>' in shown["text"]
    assert '<file path="data.json">' not in shown["text"]


async def test_cancelling_stops_the_stream_and_keeps_the_work_as_a_partial_head(
    world: World,
) -> None:
    never = asyncio.Event()
    world.model.script = [Answer().write("index.html", "<p>so far").text("and").wait(never)]
    person = await world.user()
    generation_id = await person.start()
    await until(person, generation_id, "file_written")
    asked_at = asyncio.get_running_loop().time()
    await cancel(person, generation_id)
    await eventually(lambda: world.model.left == 1)
    events = await person.checked(generation_id)
    # Far below the poll's backstop and the lease's renewal together: the wake-up did it.
    assert asyncio.get_running_loop().time() - asked_at < 10
    assert kinds(events)[-1] == "cancelled"
    assert events[-1].cancelled.version == 1
    assert events[-1].cancelled.usage.estimated
    assert events[-1].cancelled.usage.output_tokens > 0
    assert await person.read("index.html") == b"<p>so far"
    (version,) = await person.versions()
    assert version.partial
    assert version.head
    again = await cancel(person, generation_id)
    assert again.status == pb.GENERATION_STATUS_CANCELLED


async def test_cancelling_waits_for_the_file_that_is_being_written(world: World) -> None:
    gate, never = asyncio.Event(), asyncio.Event()
    world.sandboxes.before_write = lambda _: gate.wait()
    world.model.script = [Answer().write("index.html", "<p>last").wait(never)]
    person = await world.user()
    generation_id = await person.start()
    await eventually(lambda: world.sandboxes.writes)
    await cancel(person, generation_id)
    await eventually(lambda: world.model.left == 1)
    gate.set()
    events = await person.checked(generation_id)
    assert kinds(events)[-2:] == ["file_written", "cancelled"]
    assert events[-1].cancelled.version == 1


async def renewed(world: World) -> None:
    """Waits until the worker has looked at its orders and obeyed them: once may be halfway, twice is not."""
    for _ in range(2):
        (row,) = await world.rows("SELECT lease_until FROM generations")
        before = row["lease_until"]

        async def later(before: datetime = before) -> bool:
            (row,) = await world.rows("SELECT lease_until FROM generations")
            return bool(row["lease_until"] > before)

        await eventually(later)


@pytest.mark.parametrize("end", ["closed", "cut"])
async def test_cancelling_after_the_model_s_turn_lets_its_file_arrive(
    world: World, end: str
) -> None:
    gate = asyncio.Event()
    world.sandboxes.before_write = lambda _: gate.wait()
    answer = Answer().write("index.html", "<p>complete")
    world.model.script = [answer.stop("tool_use") if end == "closed" else answer.reset()]
    person = await world.user()
    generation_id = await person.start()
    await eventually(lambda: world.sandboxes.writes)
    await renewed(world)
    await cancel(person, generation_id)
    await renewed(world)
    gate.set()
    events = await person.checked(generation_id)
    assert kinds(events)[-2:] == ["file_written", "cancelled"]
    assert await person.read("index.html") == b"<p>complete"
    # The worker that was told ended it itself; nobody had to wait for its lease to run out.
    (row,) = await world.rows("SELECT epoch FROM generations")
    assert row["epoch"] == 1


async def test_an_unexpected_error_of_a_write_fails_the_generation_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("nobody thought of this")

    monkeypatch.setattr(SandboxPeer, "write", broken)
    world.model.script = [page()]
    person = await world.user()
    generation_id = await person.start()
    events = await person.checked(generation_id)
    assert events[-1].failed.failure.reason == "INTERNAL"
    assert "nobody" not in events[-1].failed.failure.message
    assert len(world.model.requests) == 1
    (row,) = await world.rows("SELECT epoch FROM generations")
    assert row["epoch"] == 1


async def test_a_waiting_generation_is_cancelled_at_once(world: World) -> None:
    never = asyncio.Event()
    world.model.script = [Answer().wait(never)]
    person = await world.user()
    running = await person.start("first")
    await until(person, running, "started")
    waiting = await person.start("second")
    found = await cancel(person, waiting)
    assert found.status == pb.GENERATION_STATUS_CANCELLED
    events = await person.checked(waiting)
    assert kinds(events) == ["queued", "cancelled"]
    assert events[0].queued.position == 0
    await cancel(person, running)
    assert kinds(await person.checked(running))[-1] == "cancelled"


async def test_the_cost_limit_keeps_the_work_as_a_partial_head(world: World) -> None:
    await world.replicas[0].stop()
    world.replicas.clear()
    await world.replica(max_cost_usd=Decimal("0.05"))
    answer = Answer().write("index.html", "<p>dear").stop("tool_use", output_tokens=4_600)
    world.model.script = [answer]
    person = await world.user()
    events = await person.checked(await person.start())
    failed = events[-1].failed
    assert failed.failure.reason == "COST_LIMIT"
    assert failed.partial_version == 1
    (version,) = await person.versions()
    assert version.partial
    assert version.head
    assert await person.read("index.html") == b"<p>dear"
    assert world.model.requests[0]["max_tokens"] < 5_000


async def test_usage_and_cost_are_those_of_the_price_list(world: World) -> None:
    world.model.script = [page(), done()]
    person = await world.user()
    events = await person.checked(await person.start())
    usage = events[-1].succeeded.usage
    assert (usage.input_tokens, usage.output_tokens, usage.turns) == (2000, 100, 2)
    assert (usage.cache_read_tokens, usage.cache_write_tokens) == (400, 600)
    # Twice: 1000 read, 200 cached, 100 and 200 written to the cache, 50 written, at 2 and 10 dollars a million.
    one = (1000 + 200 * 0.1 + 100 * 1.25 + 200 * 2) * 2 + 50 * 10
    assert abs(usage.cost_usd - 2 * one / 1e6) < 1e-9
    assert not usage.estimated
    rows = await world.rows("SELECT * FROM generation_usage ORDER BY turn")
    assert [(row["turn"], row["estimated"]) for row in rows] == [(1, False), (2, False)]


async def test_every_written_file_is_told_with_its_hash(world: World) -> None:
    person = await world.user()
    events = await person.checked(await person.start("Hashed"))
    (written,) = [e.file_written for e in events if e.WhichOneof("event") == "file_written"]
    content = await person.read("index.html")
    assert written.sha256 == hashlib.sha256(content).hexdigest()
    assert written.size_bytes == len(content)
