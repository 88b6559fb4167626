"""Watching from anywhere, and nobody sees what is another's."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from kit.auth.keys import read_signing_keys
from kit.auth.tokens import ServiceIdentity
from kit.testing import eventually
from protos.generation.v1 import generation_pb2 as pb
from tests.fixtures.generation import World
from tests.fixtures.history import check_sequence, kinds
from tests.fixtures.scripted_model import Answer


async def finished(call: Any) -> object:
    """The answer, or all of a stream's."""
    return [event async for event in call] if hasattr(call, "__aiter__") else await call


async def code_of(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await finished(call)
    return caught.value.code(), str(caught.value.details())


async def test_events_go_on_after_any_of_them_on_any_replica(world: World) -> None:
    other = await world.replica()
    person = await world.user()
    generation_id = await person.start()
    events = await person.checked(generation_id)
    for after in range(len(events)):
        rest = await person.events(generation_id, after, other)
        assert rest == events[after:]
        check_sequence(rest, after=after)
    assert await person.events(generation_id, len(events)) == []
    assert await person.events(generation_id, len(events) + 100) == []


async def test_a_live_watch_sees_each_event_once_while_it_happens(world: World) -> None:
    other = await world.replica()
    gate = asyncio.Event()
    world.model.script = [
        Answer().text("first").wait(gate).write("index.html", "<p>x").stop("tool_use")
    ]
    person = await world.user()
    generation_id = await person.start()
    seen: list[pb.GenerationEvent] = []

    async def watch() -> None:
        request = pb.WatchGenerationRequest(generation_id=generation_id)
        async for event in person.stub(other).WatchGeneration(request):
            seen.append(event)  # noqa: PERF401 - the test looks at it meanwhile

    watching = asyncio.create_task(watch())
    await eventually(lambda: "text_delta" in kinds(seen))
    assert "file_written" not in kinds(seen)
    gate.set()
    await watching
    check_sequence(seen)


async def test_a_server_that_drains_ends_its_watches_and_another_goes_on(world: World) -> None:
    other = await world.replica()
    gate = asyncio.Event()
    world.model.script = [Answer().text("hello").wait(gate)]
    person = await world.user()
    generation_id = await person.start()
    request = pb.WatchGenerationRequest(generation_id=generation_id)
    events = person.stub(other).WatchGeneration(request).__aiter__()
    first = await anext(events)
    assert first.sequence == 1
    stopping = asyncio.create_task(other.stop())
    code, text = await code_of(events)
    assert (code, text) == (grpc.StatusCode.UNAVAILABLE, "the server is restarting")
    await stopping
    world.replicas.remove(other)
    gate.set()
    world.model.script = []
    await person.checked(generation_id)


async def test_another_user_s_generations_do_not_exist(world: World) -> None:
    owner, stranger = await world.user(), await world.user()
    generation_id = await owner.start()
    await owner.checked(generation_id)
    stub = stranger.stub()
    calls = [
        stub.GetGeneration(pb.GetGenerationRequest(generation_id=generation_id)),
        stub.CancelGeneration(pb.CancelGenerationRequest(generation_id=generation_id)),
        stub.WatchGeneration(pb.WatchGenerationRequest(generation_id=generation_id)),
        stub.ListGenerations(pb.ListGenerationsRequest(project_id=owner.project_id)),
        stub.StartGeneration(
            pb.StartGenerationRequest(project_id=owner.project_id, prompt="Mine now")
        ),
    ]
    for call in calls:
        code, text = await code_of(call)
        assert code == grpc.StatusCode.NOT_FOUND
        assert owner.user.user_id not in text
    assert len(await world.rows("SELECT 1 FROM generations")) == 1


async def test_usage_is_the_caller_s_own(world: World) -> None:
    owner, stranger = await world.user(), await world.user()
    await owner.checked(await owner.start())
    request = pb.GetGenerationUsageRequest()
    assert (await owner.stub().GetGenerationUsage(request)).today.usage.turns == 2
    found = await stranger.stub().GetGenerationUsage(request)
    assert found.today.usage == pb.Usage()
    assert (found.running, found.queued) == (0, 0)


@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c"])
async def test_without_a_good_token_nothing_is_answered(world: World, token: str) -> None:
    stub = world.replicas[0].stub(token)
    calls = [
        stub.GetGeneration(pb.GetGenerationRequest(generation_id="gen-1")),
        stub.ListModels(pb.ListModelsRequest()),
        stub.GetGenerationUsage(pb.GetGenerationUsageRequest()),
    ]
    for call in calls:
        code, _ = await code_of(call)
        assert code == grpc.StatusCode.UNAUTHENTICATED


async def test_a_service_s_token_without_a_user_is_refused(world: World) -> None:
    key = read_signing_keys(world.key_folder / "gateway.jwk")[0]
    stub = world.replicas[0].stub(ServiceIdentity(key).token("generation", ""))
    code, _ = await code_of(stub.GetGeneration(pb.GetGenerationRequest(generation_id="gen-1")))
    assert code == grpc.StatusCode.PERMISSION_DENIED


BAD = {
    "empty prompt": ({"prompt": ""}, "prompt"),
    "blank prompt": ({"prompt": " \n\t"}, "prompt"),
    "prompt of 100 kB": ({"prompt": "x" * 100_000}, "prompt"),
    "one byte too many": ({"prompt": "ü" * 16_384 + "x"}, "prompt"),
    "NUL in the prompt": ({"prompt": "a\x00b"}, "prompt"),
    "project with a slash": ({"prompt": "x", "project_id": "../x"}, "project_id"),
    "model with a space": ({"prompt": "x", "model": "a b"}, "model"),
    "long key": ({"prompt": "x", "idempotency_key": "k" * 129}, "idempotency_key"),
}


@pytest.mark.parametrize(("fields", "name"), BAD.values(), ids=BAD.keys())
async def test_a_bad_start_names_the_field_and_changes_nothing(
    world: World, fields: dict[str, Any], name: str
) -> None:
    person = await world.user()
    request = pb.StartGenerationRequest(**{"project_id": person.project_id, **fields})
    code, text = await code_of(person.stub().StartGeneration(request))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert text.startswith(f"{name}:")
    assert await world.rows("SELECT 1 FROM generations") == []


async def test_the_longest_prompt_is_accepted(world: World) -> None:
    person = await world.user()
    prompt = "ü" * 16_384
    generation_id = await person.start(prompt)
    await person.checked(generation_id)
    assert (await person.get(generation_id)).prompt == prompt


@pytest.mark.parametrize("token", ["x", "bm9uc2Vuc2U", "WyJhIiwiYiJd", "WzEsMl0"])
async def test_a_page_token_of_somebody_s_own_making_is_refused(world: World, token: str) -> None:
    person = await world.user()
    request = pb.ListGenerationsRequest(project_id=person.project_id, page_token=token)
    code, text = await code_of(person.stub().ListGenerations(request))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert "page_token" in text


async def test_an_unknown_project_is_not_found(world: World) -> None:
    person = await world.user()
    request = pb.StartGenerationRequest(project_id="prj-none", prompt="x")
    code, _ = await code_of(person.stub().StartGeneration(request))
    assert code == grpc.StatusCode.NOT_FOUND
