"""Who may start what, in which order it runs, and the same key twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import grpc
import pytest

from kit.errors import QuotaExceeded, Unavailable
from kit.testing import eventually
from protos.generation.v1 import generation_pb2 as pb
from tests.fixtures.generation import Person, World
from tests.fixtures.history import kinds
from tests.fixtures.scripted_model import Answer, Body, page


def hold(world: World) -> asyncio.Event:
    """Every generation waits in its first turn until the gate opens, then ends well."""
    gate = asyncio.Event()
    inner = world.model.otherwise

    def answer(body: Body) -> Answer:
        if len(body["messages"]) > 1:
            return inner(body)
        return Answer().wait(gate).write("index.html", "<p>x").stop("tool_use")

    world.model.otherwise = answer
    return gate


async def statuses(world: World) -> list[str]:
    rows = await world.rows("SELECT status FROM generations ORDER BY created_at, generation_id")
    return [row["status"] for row in rows]


async def details(call: Awaitable[object]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), str(caught.value.details())


async def test_one_generation_of_a_project_runs_at_a_time_in_the_order_of_asking(
    world: World,
) -> None:
    gate = hold(world)
    person = await world.user()
    ids = [await person.start(f"number {number}") for number in range(3)]
    await eventually(lambda: world.model.requests)
    assert await statuses(world) == ["running", "queued", "queued"]
    gate.set()
    ended = []
    for generation_id in ids:
        events = await person.checked(generation_id)
        assert kinds(events)[-1] == "succeeded"
        ended.append((await person.get(generation_id)).ended_at.ToNanoseconds())
    assert ended == sorted(ended)
    prompts = [b["messages"][0]["content"][-1]["text"] for b in world.model.requests]
    assert list(dict.fromkeys(prompts)) == ["number 0", "number 1", "number 2"]


async def test_two_of_a_user_run_at_once_and_another_user_does_not_wait_for_them(
    world: World,
) -> None:
    gate = hold(world)
    busy, other = await world.user(), await world.user()
    projects = [busy.project_id, *[await busy.user.new_project() for _ in range(3)]]
    for project_id in projects:
        await busy.start(project_id=project_id)
    late = await other.start()
    await eventually(lambda: len(world.model.requests) == 3)

    async def settled() -> bool:
        found = await statuses(world)
        return found == ["running", "running", "queued", "queued", "running"]

    await eventually(settled)
    gate.set()
    assert kinds(await other.checked(late))[-1] == "succeeded"

    async def all_ended() -> bool:
        return set(await statuses(world)) == {"succeeded"}

    await eventually(all_ended)


async def test_as_many_wait_as_the_limit_says_and_not_one_more(world: World) -> None:
    await world.replicas[0].stop()
    world.replicas.clear()
    await world.replica(max_queued_per_user=3)
    hold(world)
    person = await world.user()
    first = await person.start()
    await eventually(lambda: world.model.requests)
    for _ in range(3):
        await person.start()
    code, text = await details(person.start())
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "the limit is 3" in text
    other = await world.user()
    assert await other.start()
    assert len(await world.rows("SELECT 1 FROM generations")) == 5
    request = pb.CancelGenerationRequest(generation_id=first)
    await person.stub().CancelGeneration(request)


async def test_starts_at_the_same_moment_keep_the_limit(world: World) -> None:
    await world.replicas[0].stop()
    world.replicas.clear()
    await world.replica(max_queued_per_user=3, workers=1)
    hold(world)
    blocker, person = await world.user(), await world.user()
    await blocker.start()
    await eventually(lambda: world.model.requests)
    found = await asyncio.gather(*(person.start() for _ in range(8)), return_exceptions=True)
    assert len([one for one in found if isinstance(one, str)]) == 3


async def test_the_same_key_gives_the_same_generation(world: World) -> None:
    person = await world.user()
    found = await asyncio.gather(*(person.start("Same", idempotency_key="key-1") for _ in range(5)))
    assert len(set(found)) == 1
    await person.checked(found[0])
    assert await person.start("Same", idempotency_key="key-1") == found[0]
    other = await world.user()
    assert await other.start("Same", idempotency_key="key-1") != found[0]


@pytest.mark.parametrize("change", [{"prompt": "Other"}, {"model": "claude-opus-5-5"}])
async def test_the_same_key_for_something_else_is_a_conflict(
    world: World, change: dict[str, str]
) -> None:
    person = await world.user()
    await person.start("Same", idempotency_key="key-1")
    fields = {"prompt": "Same", **change}
    code, text = await details(person.start(idempotency_key="key-1", **fields))
    assert code == grpc.StatusCode.ABORTED
    assert "idempotency_key" in text
    assert len(await world.rows("SELECT 1 FROM generations")) == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (QuotaExceeded("3 sandboxes", reason="SANDBOX_QUOTA"), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (Unavailable("no engine"), grpc.StatusCode.UNAVAILABLE),
    ],
)
async def test_without_a_sandbox_the_start_fails_and_the_key_is_free_again(
    world: World, error: Exception, code: grpc.StatusCode
) -> None:
    world.sandboxes.before_ensure = lambda: error
    person = await world.user()
    found, _ = await details(person.start("Same", idempotency_key="key-1"))
    assert found == code
    (row,) = await world.rows("SELECT * FROM generations")
    assert row["status"] == "failed"
    events = await person.checked(row["generation_id"])
    assert kinds(events) == ["queued", "failed"]
    assert events[-1].failed.failure.reason in {"SANDBOX_QUOTA", "UNAVAILABLE"}
    assert world.model.requests == []
    world.sandboxes.before_ensure = None
    again = await person.start("Same", idempotency_key="key-1")
    assert again != row["generation_id"]
    assert kinds(await person.checked(again))[-1] == "succeeded"


@pytest.mark.parametrize("state", ["queued", "running"])
async def test_a_start_that_fails_leaves_alone_what_the_same_key_has_started(
    world: World, state: str
) -> None:
    await world.replicas.pop(0).stop()
    await world.replica(workers=1 if state == "queued" else 2)
    turns = hold(world)
    blocker, person = await world.user(), await world.user()
    blocked = await blocker.start()
    await eventually(lambda: world.model.requests)
    gate, asked = asyncio.Event(), asyncio.Event()

    async def late() -> None:
        world.sandboxes.before_ensure = None
        asked.set()
        await gate.wait()
        raise QuotaExceeded("3 sandboxes", reason="SANDBOX_QUOTA")

    world.sandboxes.before_ensure = late
    losing = asyncio.create_task(details(person.start("Same", idempotency_key="key-1")))
    await asyncio.wait_for(asked.wait(), 30)
    generation_id = await person.start("Same", idempotency_key="key-1")
    await eventually(lambda: _second_is(world, state))
    gate.set()
    assert (await losing)[0] == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert await statuses(world) == ["running", state]
    assert world.sandboxes.discarded == []
    assert await person.start("Same", idempotency_key="key-1") == generation_id
    turns.set()
    assert kinds(await person.checked(generation_id))[-1] == "succeeded"
    assert kinds(await blocker.checked(blocked))[-1] == "succeeded"


async def _second_is(world: World, state: str) -> bool:
    return await statuses(world) == ["running", state]


async def test_a_worker_waits_until_the_sandbox_is_there(world: World) -> None:
    gate = asyncio.Event()
    world.sandboxes.before_ensure = gate.wait
    person = await world.user()
    starting = asyncio.create_task(person.start())
    await eventually(lambda: _some(world))
    assert await statuses(world) == ["queued"]
    gate.set()
    await person.checked(await starting)


async def _some(world: World) -> bool:
    return bool(await world.rows("SELECT 1 FROM generations"))


async def test_a_caller_who_goes_away_leaves_a_generation_that_runs(world: World) -> None:
    gate = asyncio.Event()
    world.sandboxes.before_ensure = gate.wait
    person = await world.user()
    starting = asyncio.create_task(person.start())
    await eventually(lambda: _some(world))
    starting.cancel()
    gate.set()
    (row,) = await world.rows("SELECT generation_id FROM generations")
    assert kinds(await person.checked(row["generation_id"]))[-1] == "succeeded"


async def test_pages_are_newest_first_and_complete(world: World) -> None:
    person: Person = await world.user()
    ids = [await person.start(f"{number}") for number in range(5)]
    for generation_id in ids:
        await person.events(generation_id)
    found, token = [], ""
    while True:
        request = pb.ListGenerationsRequest(
            project_id=person.project_id, page_size=2, page_token=token
        )
        page_ = await person.stub().ListGenerations(request)
        found += [generation.generation_id for generation in page_.generations]
        token = page_.next_page_token
        if not token:
            break
    assert found == ids[::-1]


async def test_the_model_that_is_asked_for_answers(world: World) -> None:
    world.model.script = [page()]
    person = await world.user()
    generation_id = await person.start(model="claude-opus-5-5")
    events = await person.checked(generation_id)
    assert events[1].started.model == "claude-opus-5-5"
    assert {body["model"] for body in world.model.requests} == {"claude-opus-5-5"}
    other = await person.start()
    await person.checked(other)
    assert (await person.get(other)).model == "claude-sonnet-5-5"
