"""What generations may cost: set aside before, settled after, never passed by starts at the same moment."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from kit.errors import Unavailable
from kit.testing import eventually
from protos.generation.v1 import generation_pb2 as pb
from tests.fixtures.generation import Person, World
from tests.fixtures.history import kinds
from tests.fixtures.scripted_model import Answer, Body, page


async def world_with(world: World, **settings: Any) -> None:
    """The same world with one replica under these settings."""
    await world.replicas.pop(0).stop()
    await world.replica(**settings)


def hold(world: World) -> asyncio.Event:
    """Every generation waits in its first turn until the gate opens."""
    gate = asyncio.Event()
    inner = world.model.otherwise

    def answer(body: Body) -> Answer:
        if len(body["messages"]) > 1:
            return inner(body)
        return Answer().wait(gate).write("index.html", "<p>x").stop("tool_use")

    world.model.otherwise = answer
    return gate


async def refused(person: Person, **fields: Any) -> tuple[dict[str, str], float, str]:
    """The refusal's facts, its seconds to wait and its sentence."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await person.start(**fields)
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    status = rpc_status.from_call(caught.value)  # type: ignore[arg-type] # an error has what a call has
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(retry)
    assert info.reason == "BUDGET_EXCEEDED"
    return dict(info.metadata), retry.retry_delay.seconds, str(caught.value.details())


async def usage_of(person: Person) -> pb.GenerationUsage:
    found: pb.GenerationUsage = await person.stub().GetGenerationUsage(
        pb.GetGenerationUsageRequest()
    )
    return found


async def test_starts_at_the_same_moment_never_set_aside_more_than_the_day_allows(
    world: World,
) -> None:
    await world_with(world, max_cost_usd=1, max_cost_usd_per_day=3, workers=1)
    await world.replica(max_cost_usd=1, max_cost_usd_per_day=3, workers=1)
    gate = hold(world)
    person = await world.user()
    requests = [
        person.stub(world.replicas[number % 2]).StartGeneration(
            pb.StartGenerationRequest(project_id=person.project_id, prompt=f"{number}")
        )
        for number in range(8)
    ]
    found = await asyncio.gather(*requests, return_exceptions=True)
    accepted = [one.generation_id for one in found if not isinstance(one, BaseException)]
    assert len(accepted) == 3
    (row,) = await world.rows("SELECT sum(reserved_usd) AS reserved FROM generations")
    assert row["reserved"] == 3
    gate.set()
    for generation_id in accepted:
        assert kinds(await person.checked(generation_id))[-1] == "succeeded"
    assert (await usage_of(person)).today.reserved_usd == 0


async def test_a_refusal_names_the_limit_what_is_used_and_when_it_is_over(world: World) -> None:
    await world_with(world, max_cost_usd_per_day=1, max_cost_usd_per_month=50)
    gate = hold(world)
    person = await world.user()
    first = await person.start()
    facts, wait, text = await refused(person)
    assert facts["period"] == "day"
    assert (facts["limit"], facts["used"], facts["reserved"]) == ("1", "0", "1")
    assert facts["resets_at"].endswith("00:00:00+00:00")
    assert 0 < wait <= 30, "what is set aside may be free soon"
    assert "1 US dollars a day" in text
    assert len(await world.rows("SELECT 1 FROM generations")) == 1
    other = await world.user()
    assert await other.start()
    gate.set()
    await person.checked(first)


@pytest.mark.parametrize("period", ["day", "month"])
async def test_what_was_used_counts_until_its_period_is_over(world: World, period: str) -> None:
    await world_with(world, max_cost_usd_per_day=2, max_cost_usd_per_month=5)
    person = await world.user()
    spent = {"day": [("0 seconds", "1.97")], "month": [("0 seconds", "1"), ("-1", "3.98")]}
    await _spend(world, person, spent[period])
    facts, wait, _ = await refused(person)
    assert facts["period"] == period
    found = await usage_of(person)
    state = found.today if period == "day" else found.month
    assert facts["used"] == f"{state.usage.cost_usd:g}"
    # What is left is asked for in so many words, so it is given.
    assert await person.start(max_cost_usd=0.01)
    assert wait >= 1


async def _spend(world: World, person: Person, amounts: list[tuple[str, str]]) -> None:
    """Entries of the ledger, today or (-1) at another time of this month."""
    for number, (when, dollars) in enumerate(amounts):
        # Any other day of the month will do; the last one is not today on all but one, when the first is.
        created = (
            "CASE WHEN extract(day FROM timezone('UTC', now())) > 1 "
            "THEN date_trunc('month', now(), 'UTC') "
            "ELSE date_trunc('month', now(), 'UTC') + interval '2 days' END"
            if when == "-1"
            else "clock_timestamp()"
        )
        await world.rows(
            "INSERT INTO generation_usage (generation_id, turn, epoch, attempt, owner_id, project_id,"
            " model, cost_usd, created_at)"
            f" VALUES (:id, 1, 1, 0, :owner, 'prj-old', 'claude-sonnet-5-5', :dollars, {created})",
            id=f"gen-old-{number}",
            owner=person.user.user_id,
            dollars=float(dollars),
        )


async def test_yesterday_and_another_user_do_not_count(world: World) -> None:
    await world_with(world, max_cost_usd_per_day=1)
    person, other = await world.user(), await world.user()
    await _spend(world, other, [("now", "1")])
    await world.rows(
        "INSERT INTO generation_usage (generation_id, turn, epoch, attempt, owner_id, project_id, model,"
        " cost_usd, created_at) VALUES ('gen-y', 1, 1, 0, :owner, 'prj-old', 'm', 1,"
        " date_trunc('day', now(), 'UTC') - interval '1 second')",
        owner=person.user.user_id,
    )
    generation_id = await person.start()
    assert kinds(await person.checked(generation_id))[-1] == "succeeded"
    assert (await refused(other))[0]["used"] == "1"


@pytest.mark.parametrize("end", ["succeeded", "failed", "cancelled", "no sandbox"])
async def test_whatever_the_end_nothing_stays_set_aside(world: World, end: str) -> None:
    person = await world.user()
    if end == "no sandbox":
        world.sandboxes.before_ensure = lambda: Unavailable("no engine")
        with pytest.raises(grpc.aio.AioRpcError):
            await person.start()
    else:
        gate = hold(world)
        generation_id = await person.start()
        assert (await usage_of(person)).today.reserved_usd > 0
        await eventually(lambda: world.model.requests)
        if end == "failed":
            world.model.script = [Answer().text("no").stop("refusal")]
        if end == "cancelled":
            request = pb.CancelGenerationRequest(generation_id=generation_id)
            await person.stub().CancelGeneration(request)
        gate.set()
        assert kinds(await person.checked(generation_id))[-1] == end
    (row,) = await world.rows("SELECT reserved_usd FROM generations")
    assert row["reserved_usd"] == 0
    found = await usage_of(person)
    assert found.today.reserved_usd == found.month.reserved_usd == 0
    assert found.running == found.queued == 0


async def test_usage_is_the_ledger_s_and_says_what_runs_and_waits(world: World) -> None:
    gate = hold(world)
    person = await world.user()
    first = await person.start(max_cost_usd=0.5)
    await eventually(lambda: world.model.requests)
    await person.start(max_cost_usd=0.25)
    found = await usage_of(person)
    assert (found.running, found.queued) == (1, 1)
    assert (found.max_running, found.max_queued) == (2, 20)
    assert 0.7 < found.today.reserved_usd <= 0.75
    assert (found.today.limit_usd, found.month.limit_usd) == (10, 100)
    assert found.month.resets_at.ToNanoseconds() >= found.today.resets_at.ToNanoseconds()
    gate.set()
    await person.checked(first)

    async def over() -> bool:
        return (await usage_of(person)).running + (await usage_of(person)).queued == 0

    await eventually(over)
    found = await usage_of(person)
    jobs = await world.rows(
        "SELECT sum(cost_usd) AS cost, sum(turns) AS turns, sum(output_tokens) AS output FROM generations"
    )
    assert found.today.usage == found.month.usage
    assert found.today.usage.cost_usd == pytest.approx(float(jobs[0]["cost"]))
    assert found.today.usage.turns == jobs[0]["turns"] == 4
    assert found.today.usage.output_tokens == jobs[0]["output"]


@pytest.mark.parametrize(
    ("asked", "given"), [(0, 1.0), (0.25, 0.25), (1.0, 1.0), (50, 1.0), (1e-12, 1e-9)]
)
async def test_a_generation_may_cost_what_it_asks_for_and_never_more_than_the_platform_says(
    world: World, asked: float, given: float
) -> None:
    person = await world.user()
    generation_id = await person.start(max_cost_usd=asked)
    assert (await person.get(generation_id)).max_cost_usd == pytest.approx(given)
    await person.checked(generation_id)


@pytest.mark.parametrize("asked", [-1.0, float("nan"), float("inf")])
async def test_a_cost_that_is_no_amount_is_refused(world: World, asked: float) -> None:
    person = await world.user()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await person.start(max_cost_usd=asked)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert str(caught.value.details()).startswith("max_cost_usd:")
    assert await world.rows("SELECT 1 FROM generations") == []


async def test_the_request_s_own_limit_ends_it_and_keeps_the_work(world: World) -> None:
    answer = Answer().write("index.html", "<p>dear").stop("tool_use", output_tokens=4_600)
    world.model.script = [answer]
    person = await world.user()
    events = await person.checked(await person.start(max_cost_usd=0.05))
    failed = events[-1].failed
    assert failed.failure.reason == "COST_LIMIT"
    assert "0.05 US dollars" in failed.failure.message
    assert failed.partial_version == 1
    assert await person.read("index.html") == b"<p>dear"


async def test_with_less_left_than_it_may_cost_a_generation_gets_what_is_left(
    world: World,
) -> None:
    await world_with(world, max_cost_usd_per_day=2)
    person = await world.user()
    await _spend(world, person, [("now", "1.75")])
    generation_id = await person.start()
    assert (await person.get(generation_id)).max_cost_usd == 0.25
    await person.checked(generation_id)


async def test_a_model_that_costs_nothing_sets_nothing_aside(world: World) -> None:
    model = "sandwright-composer-1"
    world.model.offered.append(model)
    await world_with(world, max_cost_usd_per_day=1)
    person = await world.user()
    await _spend(world, person, [("now", "5")])
    generation_id = await person.start(model=model)
    (row,) = await world.rows("SELECT reserved_usd FROM generations")
    assert row["reserved_usd"] == 0
    assert kinds(await person.checked(generation_id))[-1] == "succeeded"


async def test_without_limits_any_amount_may_be_used(world: World) -> None:
    await world_with(world, max_cost_usd_per_day=0, max_cost_usd_per_month=0)
    person = await world.user()
    await _spend(world, person, [("now", "5000")])
    await person.checked(await person.start())
    assert (await usage_of(person)).today.limit_usd == 0


async def test_a_known_key_is_answered_when_the_budget_is_used_up(world: World) -> None:
    await world_with(world, max_cost_usd_per_day=1)
    person = await world.user()
    generation_id = await person.start("Same", idempotency_key="key-1")
    await person.checked(generation_id)
    await _spend(world, person, [("now", "1")])
    await refused(person)
    assert await person.start("Same", idempotency_key="key-1") == generation_id


async def test_another_limit_under_the_same_key_is_a_conflict(world: World) -> None:
    person = await world.user()
    await person.start("Same", idempotency_key="key-1", max_cost_usd=0.5)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await person.start("Same", idempotency_key="key-1", max_cost_usd=0.6)
    assert caught.value.code() == grpc.StatusCode.ABORTED


async def test_the_running_cost_is_told_while_a_turn_goes_on_and_settled_at_its_end(
    world: World,
) -> None:
    await world_with(world, usage_interval_seconds=0.001)
    gate = asyncio.Event()
    answer = Answer().text("x" * 6_000, pieces=60).wait(gate).write("index.html", "<p>x")
    world.model.script = [answer.stop("tool_use", output_tokens=2_500), page("a.html", "<p>a")]
    person = await world.user()
    generation_id = await person.start()

    async def told() -> bool:
        return (await person.get(generation_id)).usage.output_tokens >= 1_900

    await eventually(told)
    found = (await person.get(generation_id)).usage
    assert found.estimated
    assert found.turns == 0
    gate.set()
    events = await person.checked(generation_id)
    reports = [event.usage for event in events if event.WhichOneof("event") == "usage"]
    assert len(reports) > 3
    assert reports[0].estimated
    last = events[-1].succeeded.usage
    assert not last.estimated
    assert last.output_tokens == 2_500 + 50 + 50
    (row,) = await world.rows("SELECT sum(output_tokens) AS output FROM generation_usage")
    assert row["output"] == last.output_tokens
