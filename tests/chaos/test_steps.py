"""A worker's process is killed, or stands still past its lease, at each step of a generation."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from pathlib import Path

import grpc
import pytest

from kit.testing import eventually
from protos.generation.v1 import generation_pb2 as pb
from tests.fixtures.generation import Person, World
from tests.fixtures.generation_process import GenerationProcess, generation_process, gone_on
from tests.fixtures.history import check_sequence, kinds
from tests.fixtures.steps import STEPS, Step, end_idle_transactions

pytestmark = pytest.mark.xdist_group("steps")
every_step = pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)


@pytest.fixture
async def person(world: World) -> Person:
    """A user; the work is done by processes, not by the world's own replica."""
    await world.replicas.pop(0).stop()
    return await world.user()


async def started(process: GenerationProcess, person: Person, prompt: str) -> str:
    """A generation that this process accepted."""
    request = pb.StartGenerationRequest(project_id=person.project_id, prompt=prompt)
    answer = await process.stub(person).StartGeneration(request)
    return answer.generation_id


async def watched(
    process: GenerationProcess, person: Person, generation_id: str, seen: list[pb.GenerationEvent]
) -> None:
    """Adds what is new, to the end or until the process is gone."""
    after = seen[-1].sequence if seen else 0
    request = pb.WatchGenerationRequest(generation_id=generation_id, after_sequence=after)
    with suppress(grpc.aio.AioRpcError):
        async for event in process.stub(person).WatchGeneration(request):
            seen.append(event)  # noqa: PERF401 - what came before a break stays


async def check_end(
    process: GenerationProcess, person: Person, events: list[pb.GenerationEvent], epoch: int
) -> None:
    """It ended well, once, under this lease; its page is the last that was told."""
    check_sequence(events)
    names = kinds(events)
    assert names[-1] == "succeeded"
    assert names.count("started") == 1
    assert [version.number for version in await person.versions()] == [1]
    assert b"<h1>" in await person.read("index.html")
    (row,) = await process.world.rows("SELECT epoch FROM generations")
    assert row["epoch"] == epoch


@every_step
async def test_a_process_killed_at_a_step(
    world: World, person: Person, step: Step, tmp_path: Path
) -> None:
    events: list[pb.GenerationEvent] = []
    async with step.arm(world) as gate, generation_process(world, tmp_path) as first:
        generation_id = await started(first, person, "Survive")
        watching = asyncio.create_task(watched(first, person, generation_id, events))
        await asyncio.wait_for(gate.reached.wait(), 60)
        await first.kill()
        await watching
        gate.opened.set()
        async with generation_process(world, tmp_path) as second:
            await asyncio.wait_for(watched(second, person, generation_id, events), 60)
            await check_end(second, person, events, epoch=2)


async def test_a_process_killed_after_the_end(world: World, person: Person, tmp_path: Path) -> None:
    events: list[pb.GenerationEvent] = []
    async with generation_process(world, tmp_path) as first:
        generation_id = await started(first, person, "Survive")
        await asyncio.wait_for(watched(first, person, generation_id, events), 60)
        await first.kill()
    async with generation_process(world, tmp_path) as second:
        again: list[pb.GenerationEvent] = []
        await asyncio.wait_for(watched(second, person, generation_id, again), 60)
        assert again == events
        await check_end(second, person, events, epoch=1)


@every_step
async def test_a_process_that_stands_still_past_its_lease_at_a_step(
    world: World, person: Person, step: Step, tmp_path: Path
) -> None:
    events: list[pb.GenerationEvent] = []
    async with step.arm(world) as gate, generation_process(world, tmp_path) as first:
        generation_id = await started(first, person, "Survive")
        await asyncio.wait_for(gate.reached.wait(), 60)
        first.send(signal.SIGSTOP)
        if step.in_database:
            gate.opened.set()
            await eventually(lambda: end_idle_transactions(world))
        async with generation_process(world, tmp_path) as second:
            if step.name == "the version made":
                # Who goes on makes it too, and finds it being made.
                gate.opened.set()
            await asyncio.wait_for(watched(second, person, generation_id, events), 60)
            asked = len(world.model.requests)
            first.send(signal.SIGCONT)
            gate.opened.set()
            await gone_on(first, generation_id)
            await check_end(second, person, events, epoch=2)
            assert len(world.model.requests) == asked
            await second.kill()
        # And it works on, on what is its own.
        again: list[pb.GenerationEvent] = []
        other = await started(first, person, "Another")
        await asyncio.wait_for(watched(first, person, other, again), 60)
        assert kinds(again)[-1] == "succeeded"
