"""Any process may be killed at any moment of a generation: it ends all the same, and nobody misses an event."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from kit.testing import eventually
from local.stack.client import ENDINGS, Client, Event
from tests.fixtures.stack import RunningStack, StackFactory
from tests.fixtures.users import generate, new_project, signed_in

pytestmark = pytest.mark.xdist_group("chaos")
PROMPT = "a portfolio for Rui Tavares, architect in Porto"


@pytest.fixture(scope="module")
def slow_stack(start_stack: StackFactory) -> RunningStack:
    """A stack whose model is slow enough to be caught in the middle, and whose leases are short."""
    return start_stack(
        LOCAL_MODEL_TOKENS_PER_SECOND="900",
        GENERATION_LEASE_SECONDS="3",
        GENERATION_LEASE_RENEW_SECONDS="1",
        PROJECTS_PASSWORD_MEMORY_KIB="1024",
        PROJECTS_PASSWORD_TIME_COST="1",
    )


async def _watched(client: Client, generation_id: str, half_way: asyncio.Event) -> list[Event]:
    """All events, and a signal when the first file is written and the next is under way."""
    events = []
    async for event in client.events(generation_id):
        events.append(event)
        if event.name == "file_delta" and any(e.name == "file_written" for e in events):
            half_way.set()
    return events


@pytest.mark.parametrize(
    "module",
    ["services.generation", "services.sandbox", "services.projects", "gateway", "local.sandboxes"],
)
async def test_a_generation_survives_the_death_of_a_process(
    slow_stack: RunningStack, module: str
) -> None:
    async with signed_in(slow_stack.api) as client:
        project_id = await new_project(client)
        generation_id = await generate(client, project_id, PROMPT)
        half_way = asyncio.Event()
        watching = asyncio.create_task(_watched(client, generation_id, half_way))
        await asyncio.wait_for(half_way.wait(), 60)
        killed = await asyncio.to_thread(slow_stack.kill, module)
        events = await asyncio.wait_for(watching, 120)
        assert (await asyncio.to_thread(slow_stack.child, module)).pid != killed
        await eventually(slow_stack.answers, seconds=60)
        _check_history(events)
        await _check_files(client, project_id, events)


async def test_a_generation_survives_the_death_of_the_database(slow_stack: RunningStack) -> None:
    async with signed_in(slow_stack.api) as client:
        project_id = await new_project(client)
        generation_id = await generate(client, project_id, PROMPT)
        half_way = asyncio.Event()
        watching = asyncio.create_task(_watched(client, generation_id, half_way))
        await asyncio.wait_for(half_way.wait(), 60)
        killed = slow_stack.kill_database()
        events = await asyncio.wait_for(watching, 120)
        assert slow_stack.database().pid != killed
        await eventually(slow_stack.answers, seconds=60)
        _check_history(events)
        await _check_files(client, project_id, events)


def _check_history(events: list[Event]) -> None:
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert [event.name for event in events if event.name in ENDINGS] == ["succeeded"]
    assert events[-1].name == "succeeded"


async def _check_files(client: Client, project_id: str, events: list[Event]) -> None:
    written = {
        e.data["fileWritten"]["path"]: e.data["fileWritten"]
        for e in events
        if e.name == "file_written"
    }
    assert "index.html" in written
    for path, told in written.items():
        content = await client.file(project_id, path)
        assert hashlib.sha256(content).hexdigest() == told["sha256"]
        assert len(content) == told["sizeBytes"]
    versions = (await client.call("GET", f"/api/projects/{project_id}/versions"))["versions"]
    assert [version["number"] for version in versions] == [1]


async def test_the_supervisor_says_who_died_and_that_it_starts_again(
    slow_stack: RunningStack,
) -> None:
    before = slow_stack.said().count("model died (signal SIGKILL); starting it again")
    await asyncio.to_thread(slow_stack.kill, "local.model")
    await asyncio.to_thread(slow_stack.child, "local.model")
    assert slow_stack.said().count("model died (signal SIGKILL); starting it again") == before + 1
