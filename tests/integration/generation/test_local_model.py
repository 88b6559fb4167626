"""The agent loop against the local model: the official SDK, its real stream, a whole site."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from protos.generation.v1 import generation_pb2 as pb
from tests.fixtures.generation import World
from tests.fixtures.history import kinds
from tests.fixtures.model import ModelServer


@pytest.fixture
async def local(world: World, model_server: ModelServer) -> World:
    """The same world with the local model behind it."""
    await world.replicas.pop(0).stop()
    await world.replica(anthropic_base_url=model_server.url, anthropic_api_key=model_server.api_key)
    return world


async def test_a_prompt_becomes_a_site_of_several_files(local: World) -> None:
    person = await local.user()
    events = await person.checked(await person.start("a landing page for a bakery in Lisbon"))
    assert kinds(events)[-1] == "succeeded", events[-1]
    paths = await person.paths()
    assert "index.html" in paths
    assert len(paths) > 1
    assert b"Lisbon" in await person.read("index.html")
    assert events[-1].succeeded.files_written == len(paths)
    # What the composer writes costs nobody anything, whatever model's name it answers under.
    assert events[-1].succeeded.usage.cost_usd == 0
    assert events[-1].succeeded.usage.output_tokens > 0


async def test_the_deltas_of_a_file_are_the_file(local: World) -> None:
    person = await local.user()
    events = await person.checked(await person.start("a portfolio for Ana Souza, photographer"))
    drafts: dict[str, str] = {}
    for event in events:
        if event.WhichOneof("event") == "file_delta":
            delta = event.file_delta
            drafts[delta.path] = drafts.get(delta.path, "")[: delta.offset] + delta.text
    for path in await person.paths():
        assert drafts[path].encode() == await person.read(path)


async def test_a_follow_up_changes_the_site(local: World) -> None:
    person = await local.user()
    await person.checked(await person.start("a landing page for a bakery in Lisbon"))
    before = {path: await person.read(path) for path in await person.paths()}
    events = await person.checked(await person.start("Change the title to Forno Dourado"))
    assert kinds(events)[-1] == "succeeded", events[-1]
    after = {path: await person.read(path) for path in await person.paths()}
    assert b"Forno Dourado" in after["index.html"]
    assert after != before


async def test_a_team_writes_the_site_that_one_agent_writes(local: World) -> None:
    alone, together = await local.user(), await local.user()
    prompt = "a blog about sourdough"
    await alone.checked(await alone.start(prompt))
    events = await together.checked(await together.start(prompt, mode=pb.GENERATION_MODE_TEAM))
    assert kinds(events)[-1] == "succeeded", events[-1]
    paths = await together.paths()
    assert paths == await alone.paths()
    agents = {event.agent for event in events if event.WhichOneof("event") == "agent_finished"}
    pages = {path for path in paths if path.endswith(".html")}
    assert agents == {"planner", "reviewer", *pages}
    assert len(pages) == 6
    for path in paths:
        assert await together.read(path) == await alone.read(path)


async def test_a_throttled_model_shows_files_while_they_are_written(
    start_model: Callable[..., ModelServer], world: World
) -> None:
    server = start_model(tokens_per_second=2_000)
    await world.replicas.pop(0).stop()
    await world.replica(anthropic_base_url=server.url, anthropic_api_key=server.api_key)
    person = await world.user()
    events = await person.checked(await person.start("a to-do list"))
    names = kinds(events)
    assert names[-1] == "succeeded"
    assert names.index("file_delta") < names.index("file_written")
    # Files arrive one after another, not all at the end of the turn.
    last_delta = len(names) - 1 - names[::-1].index("file_delta")
    assert names.index("file_written") < last_delta


async def test_a_follow_up_reads_tools_and_system_from_the_cache(local: World) -> None:
    person = await local.user()
    await person.checked(await person.start("a landing page for a bakery in Lisbon"))
    events = await person.checked(await person.start("Change the title to Forno Dourado"))
    first = next(event.usage for event in events if event.WhichOneof("event") == "usage")
    # Both requests begin alike: the tools and the system prompt, more than two thousand tokens.
    assert first.cache_read_tokens > 1_000


async def test_a_dead_link_is_found_by_the_checks_and_repaired_by_the_model(
    start_model: Callable[..., ModelServer], world: World
) -> None:
    server = start_model(faults="broken-link")
    await world.replicas.pop(0).stop()
    await world.replica(
        anthropic_base_url=server.url, anthropic_api_key=server.api_key, repair_rounds=2
    )
    person = await world.user()
    events = await person.checked(await person.start("a landing page for a bakery in Lisbon"))
    assert kinds(events)[-1] == "succeeded", events[-1]
    counts = [e.check.finding_count for e in events if e.WhichOneof("event") == "check"]
    assert counts[0] > 0
    assert counts[-1] == 0
    assert b"pages/nowhere.html" not in await person.read("index.html")
