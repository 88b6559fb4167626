"""Which models there are, and which one answers."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from protos.generation.v1 import generation_pb2 as pb
from protos.projects.v1 import projects_pb2
from tests.fixtures.generation import Person, World
from tests.fixtures.scripted_model import Answer


async def offered(person: Person) -> list[pb.Model]:
    return list((await person.stub().ListModels(pb.ListModelsRequest())).models)


async def set_model(person: Person, model: str) -> None:
    request = projects_pb2.UpdateProjectRequest(project_id=person.project_id, model=model)
    assert (await person.user.projects.UpdateProject(request)).model == model


async def refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), str(caught.value.details())


async def test_the_list_is_the_vendor_s_with_limits_and_prices_and_the_default_first(
    world: World,
) -> None:
    world.model.offered.append("brand-new-1")
    found = await offered(await world.user())
    assert [model.model for model in found] == [
        "claude-sonnet-5-5",
        "claude-haiku-5-5",
        "claude-opus-5-5",
        "brand-new-1",
    ]
    assert [model.default for model in found] == [True, False, False, False]
    sonnet, haiku = found[0], found[1]
    assert (sonnet.max_input_tokens, sonnet.max_output_tokens) == (1_000_000, 64_000)
    assert (sonnet.price.input_usd, sonnet.price.output_usd) == (2, 10)
    assert (haiku.price.long_prompt_tokens, haiku.price.long_prompt_factor) == (100_000, 5)
    assert sonnet.price.as_of == "2026-11-20"
    assert not found[3].HasField("price")


async def test_the_list_is_asked_for_once_and_kept_when_the_vendor_fails(world: World) -> None:
    person = await world.user()
    first = await offered(person)
    assert await offered(person) == first
    assert len(world.model.asked) == 1
    await world.replicas.pop(0).stop()
    await world.replica(models_seconds=0.001)
    assert await offered(person) == first
    world.model.lists = 529
    assert await offered(person) == first


async def test_a_vendor_that_never_answered_is_unavailable_and_stops_no_generation(
    world: World,
) -> None:
    world.model.lists = 500
    person = await world.user()
    code, text = await refusal(offered(person))
    assert code == grpc.StatusCode.UNAVAILABLE
    assert "secret" not in text
    generation_id = await person.start(model="claude-fable-5-1")
    events = await person.checked(generation_id)
    assert events[-1].WhichOneof("event") == "succeeded"


@pytest.mark.parametrize("field", ["prompt", "project"])
async def test_a_model_that_the_vendor_does_not_have_is_named_and_nothing_begins(
    world: World, field: str
) -> None:
    person = await world.user()
    if field == "project":
        await set_model(person, "claude-nope-1")
    fields = {"model": "claude-nope-1"} if field == "prompt" else {}
    code, text = await refusal(person.start(**fields))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert text.startswith("model:")
    assert "claude-nope-1" in text
    assert await world.rows("SELECT 1 FROM generations") == []


async def test_an_alias_is_asked_for_by_the_name_whose_price_is_known(world: World) -> None:
    person = await world.user()
    generation_id = await person.start(model="claude-sonnet-latest")
    await person.checked(generation_id)
    assert {body["model"] for body in world.model.requests} == {"claude-sonnet-5-5"}
    assert (await person.get(generation_id)).usage.cost_usd > 0


async def test_a_model_whose_price_nobody_knows_is_refused_and_the_settings_are_named(
    world: World,
) -> None:
    world.model.offered.append("brand-new-1")
    code, text = await refusal((await world.user()).start(model="brand-new-1"))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert text.startswith("model: the price of 'brand-new-1' is not known")
    assert "GENERATION_UNPRICED_MODELS" in text
    assert await world.rows("SELECT 1 FROM generations") == []


async def test_models_of_one_s_own_may_be_free(world: World) -> None:
    world.model.offered.append("brand-new-1")
    await world.replicas.pop(0).stop()
    await world.replica(unpriced_models="free", max_cost_usd_per_day="0.000001")
    person = await world.user()
    generation_id = await person.start(model="brand-new-1")
    await person.checked(generation_id)
    usage = (await person.get(generation_id)).usage
    assert (usage.cost_usd, usage.estimated) == (0, False)
    assert usage.output_tokens > 0


async def test_at_a_rate_for_unknown_models_limits_hold_and_costs_are_estimates(
    world: World,
) -> None:
    world.model.offered.append("brand-new-1")
    await world.replicas.pop(0).stop()
    await world.replica(unpriced_models="3/1000", max_cost_usd=1.5)
    person = await world.user()
    # Of one dollar and a half no thousand tokens are left after a first turn of 800.
    world.model.script = [Answer().write("index.html", "<p>x").stop("tool_use", output_tokens=800)]
    generation_id = await person.start(model="brand-new-1", max_cost_usd=2)
    (row,) = await world.rows("SELECT reserved_usd FROM generations")
    assert row["reserved_usd"] == 1.5
    events = await person.checked(generation_id)
    assert events[-1].failed.failure.reason == "COST_LIMIT"
    assert 0.8 <= events[-1].failed.usage.cost_usd < 0.9
    assert events[-1].failed.usage.estimated


@pytest.mark.parametrize("lists", [200, 500])
async def test_a_turn_may_write_what_the_model_can_write_as_far_as_the_vendor_says(
    world: World, lists: int
) -> None:
    world.model.most_tokens, world.model.lists = 8_192, lists
    world.model.script = [Answer().text("cut").stop("max_tokens")]
    person = await world.user()
    events = await person.checked(await person.start(model="claude-haiku-5-5"))
    assert world.model.requests[0]["max_tokens"] == (8_192 if lists == 200 else 32_000)
    assert events[-1].failed.failure.reason == "MODEL_OUTPUT_LIMIT"


@pytest.mark.parametrize(
    ("prompt", "project", "answers"),
    [
        ("", "", "claude-sonnet-5-5"),
        ("", "claude-haiku-5-5", "claude-haiku-5-5"),
        ("claude-opus-5-5", "claude-haiku-5-5", "claude-opus-5-5"),
    ],
)
async def test_the_prompt_s_choice_comes_before_the_project_s_and_that_before_the_platform_s(
    world: World, prompt: str, project: str, answers: str
) -> None:
    person = await world.user()
    await set_model(person, project)
    generation_id = await person.start(model=prompt)
    await person.checked(generation_id)
    assert {body["model"] for body in world.model.requests} == {answers}
    assert (await person.get(generation_id)).model == answers


async def test_a_known_key_is_answered_though_its_model_is_gone(world: World) -> None:
    await world.replicas.pop(0).stop()
    await world.replica(models_seconds=0.001)
    person = await world.user()
    fields = {"model": "claude-opus-5-5", "idempotency_key": "key-1"}
    generation_id = await person.start(**fields)
    world.model.offered.remove("claude-opus-5-5")
    assert await person.start(**fields) == generation_id
    await person.checked(generation_id)
