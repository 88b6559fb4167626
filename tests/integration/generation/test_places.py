"""Places in the queue: told, told again when they change, and fair between users and replicas."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from kit.errors import QuotaExceeded
from kit.testing import eventually
from protos.generation.v1 import generation_pb2 as pb
from tests.fixtures.generation import Person, World
from tests.fixtures.history import check_sequence, kinds
from tests.fixtures.scripted_model import Answer, Body


class Gates:
    """Holds each generation in its first turn until the test lets it go, by its prompt."""

    def __init__(self, world: World) -> None:
        self.gates: dict[str, asyncio.Event] = {}
        self.begun: list[str] = []
        self._inner = world.model.otherwise
        world.model.otherwise = self._answer

    def open(self, *prompts: str) -> None:
        for prompt in prompts:
            self.gates.setdefault(prompt, asyncio.Event()).set()

    def _answer(self, body: Body) -> Answer:
        if len(body["messages"]) > 1:
            return self._inner(body)
        prompt = body["messages"][0]["content"][-1]["text"]
        self.begun.append(prompt)
        gate = self.gates.setdefault(prompt, asyncio.Event())
        return Answer().wait(gate).write("index.html", "<p>x").stop("tool_use")


async def places(world: World, generation_id: str) -> list[int]:
    """The places that a generation was told so far."""
    rows = await world.rows(
        "SELECT payload FROM generation_events WHERE generation_id = :id AND kind = 'queued'"
        " ORDER BY sequence",
        id=generation_id,
    )
    return [pb.GenerationEvent.FromString(row["payload"]).queued.position for row in rows]


async def told(world: World, generation_id: str, expected: list[int]) -> None:
    async def they_are() -> bool:
        return await places(world, generation_id) == expected

    await eventually(they_are)


async def cancel(person: Person, generation_id: str) -> None:
    await person.stub().CancelGeneration(pb.CancelGenerationRequest(generation_id=generation_id))


@pytest.mark.parametrize("replicas", [1, 2])
async def test_each_place_is_told_until_its_turn_comes(world: World, replicas: int) -> None:
    for _ in range(1, replicas):
        await world.replica()
    gates = Gates(world)
    person = await world.user()
    names = ["p0", "p1", "p2", "p3"]
    ids = [await person.start("p0")]
    await eventually(lambda: gates.begun == ["p0"])
    ids += [await person.start(name) for name in names[1:]]
    for number, generation_id in enumerate(ids[1:]):
        await told(world, generation_id, [number])
    gates.open("p0")
    await told(world, ids[2], [1, 0])
    await told(world, ids[3], [2, 1])
    gates.open(*names)
    for generation_id in ids:
        # Told by whichever replica is asked.
        events = await person.checked(generation_id, world.replicas[-1])
        assert kinds(events)[-1] == "succeeded"
    assert await places(world, ids[3]) == [2, 1, 0]


async def test_who_leaves_the_queue_moves_those_behind_up_and_nobody_else(world: World) -> None:
    gates = Gates(world)
    person, other = await world.user(), await world.user()
    first = await person.start("first")
    others = [await other.start("others"), await other.start("others wait")]
    await eventually(lambda: len(gates.begun) == 2)
    waiting = [await person.start(name) for name in ("a", "b", "c")]
    await cancel(person, waiting[1])
    assert await places(world, waiting[0]) == [0]
    assert await places(world, waiting[1]) == [1]
    assert await places(world, waiting[2]) == [2, 1]
    assert await places(world, others[1]) == [0]
    check_sequence(await person.events(waiting[1]))
    gates.open("first", "a", "c", "others", "others wait")
    for generation_id in (first, waiting[0], waiting[2]):
        await person.checked(generation_id)


async def test_a_start_that_fails_moves_those_behind_it_up(world: World) -> None:
    gates = Gates(world)
    person = await world.user()
    first = await person.start("first")
    await eventually(lambda: gates.begun)
    gate, asked = asyncio.Event(), asyncio.Event()

    async def late() -> None:
        world.sandboxes.before_ensure = None
        asked.set()
        await gate.wait()
        raise QuotaExceeded("3 sandboxes", reason="SANDBOX_QUOTA")

    world.sandboxes.before_ensure = late
    failing = asyncio.create_task(person.start("fails"))
    await asyncio.wait_for(asked.wait(), 30)
    behind = await person.start("behind")
    assert await places(world, behind) == [1]
    gate.set()
    with pytest.raises(grpc.aio.AioRpcError):
        await failing
    await told(world, behind, [1, 0])
    gates.open("first", "behind")
    for generation_id in (first, behind):
        await person.checked(generation_id)


async def test_cancels_and_claims_at_the_same_moment_tell_each_place_once(world: World) -> None:
    await world.replica()
    gates = Gates(world)
    person = await world.user()
    names = [f"p{number}" for number in range(12)]
    ids = [await person.start(name, max_cost_usd=0.1) for name in names]
    cancelled = ids[2::3]
    gates.open(*names)
    await asyncio.gather(*(cancel(person, generation_id) for generation_id in cancelled))
    for generation_id in ids:
        await person.checked(generation_id)
        found = await places(world, generation_id)
        assert found == sorted(set(found), reverse=True)


async def test_one_user_s_ten_do_not_starve_another_s_one_on_several_replicas(
    world: World,
) -> None:
    await world.replicas.pop(0).stop()
    for _ in range(2):
        await world.replica(workers=1, max_running_per_user=2)
    gates = Gates(world)
    busy, other = await world.user(), await world.user()
    projects = [busy.project_id, *[await busy.user.new_project() for _ in range(9)]]
    names = [f"busy {number}" for number in range(10)]
    ids = [
        await busy.start(name, project_id=project)
        for name, project in zip(names, projects, strict=True)
    ]
    await eventually(lambda: len(gates.begun) == 2)
    late = await other.start("late")
    gates.open(gates.begun[0])
    await eventually(lambda: len(gates.begun) == 3)
    # Asked for last and taken next: its user has nothing that runs.
    assert gates.begun[2] == "late"
    gates.open("late", *names)
    assert kinds(await other.checked(late))[-1] == "succeeded"
    for generation_id in ids:
        assert kinds(await busy.events(generation_id))[-1] == "succeeded"


@pytest.mark.parametrize("first", ["fails", "is made"])
async def test_of_two_calls_with_one_key_the_one_that_gets_a_sandbox_counts(
    world: World, first: str
) -> None:
    await world.replica()
    person = await world.user()
    gates = [asyncio.Event(), asyncio.Event()]
    entered: list[int] = []

    async def ensure() -> None:
        # Workers ask too, once the generation is theirs; they find it made.
        if len(entered) == 2:
            return
        number = len(entered)
        entered.append(number)
        await gates[number].wait()
        if (number == 0) == (first == "fails"):
            raise QuotaExceeded("3 sandboxes", reason="SANDBOX_QUOTA")

    world.sandboxes.before_ensure = ensure
    request = pb.StartGenerationRequest(
        project_id=person.project_id, prompt="Same", idempotency_key="key-1"
    )
    calls = []
    for replica in world.replicas:
        calls.append(asyncio.ensure_future(person.stub(replica).StartGeneration(request)))
        await eventually(lambda: len(entered) == len(calls))
    gates[0].set()
    found = [(await asyncio.gather(calls[0], return_exceptions=True))[0]]
    gates[1].set()
    found += await asyncio.gather(calls[1], return_exceptions=True)
    failed, made = found if first == "fails" else found[::-1]
    assert isinstance(failed, grpc.aio.AioRpcError)
    assert isinstance(made, pb.StartGenerationResponse)
    assert made.sandbox_id
    assert world.sandboxes.discarded == []
    assert kinds(await person.checked(made.generation_id))[-1] == "succeeded"
    assert await person.start("Same", idempotency_key="key-1") == made.generation_id
    assert len(await world.rows("SELECT 1 FROM generations")) == 1


async def test_of_two_calls_with_one_key_that_both_fail_the_last_one_ends_it(world: World) -> None:
    person = await world.user()
    gates = [asyncio.Event(), asyncio.Event()]
    entered: list[int] = []

    async def ensure() -> None:
        number = len(entered)
        entered.append(number)
        await gates[number].wait()
        raise QuotaExceeded("3 sandboxes", reason="SANDBOX_QUOTA")

    world.sandboxes.before_ensure = ensure
    calls = []
    for _ in gates:
        calls.append(asyncio.ensure_future(person.start("Same", idempotency_key="key-1")))
        await eventually(lambda: len(entered) == len(calls))
    gates[0].set()
    await asyncio.gather(calls[0], return_exceptions=True)
    (row,) = await world.rows("SELECT status FROM generations")
    assert row["status"] == "queued"
    gates[1].set()
    assert isinstance(
        (await asyncio.gather(calls[1], return_exceptions=True))[0], grpc.aio.AioRpcError
    )
    (row,) = await world.rows("SELECT status, idempotency_key FROM generations")
    assert (row["status"], row["idempotency_key"]) == ("failed", None)
    world.sandboxes.before_ensure = None
    again = await person.start("Same", idempotency_key="key-1")
    assert kinds(await person.checked(again))[-1] == "succeeded"
