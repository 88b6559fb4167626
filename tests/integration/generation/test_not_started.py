"""A generation that ends before it has started has written nothing: what the user has stays as it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator

import pytest

from kit.errors import QuotaExceeded, ServiceError
from kit.testing import eventually
from protos.generation.v1 import generation_pb2 as pb
from protos.projects.v1 import projects_pb2
from tests.fixtures.generation import Person, World
from tests.fixtures.history import kinds
from tests.fixtures.scripted_model import done, page


def full_from_the_second_call_on() -> Iterator[ServiceError | None]:
    """There is a sandbox when the prompt is accepted, and no room for one when a worker comes."""
    yield None
    while True:
        yield QuotaExceeded("3 sandboxes are active; the limit is 3", reason="SANDBOX_QUOTA")


@pytest.fixture
async def person(world: World) -> Person:
    """Somebody whose generations find no sandbox."""
    answers = full_from_the_second_call_on()
    world.sandboxes.before_ensure = lambda: next(answers)
    return await world.user()


async def test_a_first_generation_without_a_sandbox_leaves_files_that_are_no_version_yet(
    person: Person,
) -> None:
    await person.edit("index.html", b"<p>my own work")
    events = await person.checked(await person.start())
    assert kinds(events) == ["queued", "failed"]
    assert events[-1].failed.failure.reason == "SANDBOX_QUOTA"
    assert events[-1].failed.partial_version == 0
    assert await person.read("index.html") == b"<p>my own work"
    assert await person.versions() == []


async def test_a_follow_up_without_a_sandbox_takes_no_edit_back(
    world: World, person: Person
) -> None:
    world.sandboxes.before_ensure, without = None, world.sandboxes.before_ensure
    await person.checked(await person.start("First"))
    await person.edit("notes.txt", b"my own words")
    world.sandboxes.before_ensure = without
    events = await person.checked(await person.start("Second"))
    assert kinds(events)[-1] == "failed"
    assert await person.read("notes.txt") == b"my own words"
    assert len(await person.versions()) == 1
    # It becomes a version when a generation starts indeed.
    world.sandboxes.before_ensure = None
    world.model.script = [page("other.html"), done()]
    await person.checked(await person.start("Third"))
    causes = [(version.cause, version.head) for version in await person.versions()]
    assert causes[:2] == [
        (projects_pb2.VERSION_CAUSE_GENERATION, True),
        (projects_pb2.VERSION_CAUSE_EDIT, False),
    ]


async def test_cancelled_before_it_started_it_keeps_nothing_in_its_name(world: World) -> None:
    calls = 0
    gate = asyncio.Event()

    def second_waits() -> Awaitable[bool] | None:
        nonlocal calls
        calls += 1
        return gate.wait() if calls > 1 else None

    world.sandboxes.before_ensure = second_waits
    person = await world.user()
    await person.edit("index.html", b"<p>my own work")
    generation_id = await person.start()
    await eventually(lambda: calls > 1)
    request = pb.CancelGenerationRequest(generation_id=generation_id)
    await person.stub().CancelGeneration(request)
    events = await person.checked(generation_id)
    gate.set()
    assert kinds(events) == ["queued", "cancelled"]
    assert events[-1].cancelled.version == 0
    assert await person.read("index.html") == b"<p>my own work"
    assert await person.versions() == []
