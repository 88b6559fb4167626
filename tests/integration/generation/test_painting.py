"""Files are shown while the model writes them, and nothing of that stays behind."""

from __future__ import annotations

import asyncio

from kit.testing import eventually
from protos.generation.v1 import generation_pb2 as pb
from tests.fixtures.generation import World
from tests.fixtures.history import kinds
from tests.fixtures.scripted_model import Answer, done, refused

HALF = "<!doctype html><h1>Painted early</h1><p>and so o"


def _half(gate: asyncio.Event) -> Answer:
    return Answer().half_write("index.html", HALF + "n").wait(gate)


async def test_a_page_is_shown_before_it_is_whole(world: World) -> None:
    gate = asyncio.Event()
    whole = Answer().write("index.html", HALF + "n</p>").stop("tool_use")
    whole.steps.insert(-4, ("wait", gate))
    world.model.script = [whole, done()]
    person = await world.user()
    generation_id = await person.start()

    def painted() -> bool:
        return any(path == "index.html" and text for path, text in world.sandboxes.drafts)

    await eventually(painted)
    assert world.sandboxes.writes == []
    gate.set()
    assert kinds(await person.checked(generation_id))[-1] == "succeeded"
    await eventually(lambda: world.sandboxes.drafts[-1] == ("", None))


async def test_a_turn_that_is_cut_leaves_no_draft(world: World) -> None:
    gate = asyncio.Event()
    world.model.script = [_half(gate).reset(), done()]
    person = await world.user()
    generation_id = await person.start()
    await eventually(lambda: bool(world.sandboxes.drafts))
    gate.set()
    await person.checked(generation_id)
    await eventually(lambda: ("index.html", None) in world.sandboxes.drafts)
    await eventually(lambda: world.sandboxes.drafts[-1] == ("", None))


async def test_a_cancelled_generation_leaves_no_draft(world: World) -> None:
    world.model.script = [_half(asyncio.Event())]
    person = await world.user()
    generation_id = await person.start()
    await eventually(lambda: bool(world.sandboxes.drafts))
    await person.stub().CancelGeneration(pb.CancelGenerationRequest(generation_id=generation_id))
    assert kinds(await person.checked(generation_id))[-1] == "cancelled"
    await eventually(lambda: world.sandboxes.drafts[-1] == ("", None))


async def test_without_an_interval_nothing_is_painted(world: World) -> None:
    await world.replicas.pop().stop()
    await world.replica(draft_interval_ms=0)
    person = await world.user()
    assert kinds(await person.checked(await person.start()))[-1] == "succeeded"
    assert world.sandboxes.drafts == []


async def test_nothing_painted_is_nothing_discarded(world: World) -> None:
    world.model.script = [refused(400)]
    person = await world.user()
    assert kinds(await person.checked(await person.start()))[-1] == "failed"
    assert world.sandboxes.drafts == []


async def test_a_file_that_is_refused_leaves_no_draft(world: World) -> None:
    late = asyncio.Event()
    refusing = Answer().call("write_file", '{"path": "index.html", "content": "<p>a</p>", "x": ')
    world.model.script = [
        refusing.write("b.html", "b").stop("tool_use"),
        Answer().text("Well.").wait(late).stop("end_turn"),
    ]
    person = await world.user()
    generation_id = await person.start()
    await eventually(lambda: ("index.html", None) in world.sandboxes.drafts)
    late.set()
    events = await person.checked(generation_id)
    assert kinds(events)[-1] == "succeeded"
    # Who is told of the end finds no draft any more.
    assert world.sandboxes.drafts[-1] == ("", None)
