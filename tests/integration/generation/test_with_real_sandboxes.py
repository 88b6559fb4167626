"""The services as they run: a prompt's files are in a jailed sandbox, and its preview shows them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kit.testing import eventually
from services.generation.app import prepare
from tests.fixtures.engine import RunningEngine
from tests.fixtures.generation import Person, Platform
from tests.fixtures.history import kinds
from tests.fixtures.postgres import Postgres
from tests.fixtures.projects import running_projects
from tests.fixtures.sandbox import SandboxService, running_sandboxes
from tests.fixtures.scripted_model import Answer, ScriptedModel, done, page, refused


@dataclass
class Chain:
    """All three services."""

    platform: Platform
    sandboxes: SandboxService

    async def shown(self, person: Person, path: str = "/") -> bytes:
        """What the project's preview shows."""
        sandbox = await self.sandboxes.as_user(person.user).get(person.project_id)
        return (await self.sandboxes.preview(sandbox.sandbox_url, path)).content


@pytest.fixture
async def chain(
    postgres: Postgres, key_folder: Path, engine: RunningEngine, scripted_model: ScriptedModel
) -> AsyncIterator[Chain]:
    """Projects, sandboxes over the local engine, and generation."""
    urls = await postgres.fresh_async()
    async with (
        running_projects(urls, key_folder) as projects,
        running_sandboxes(urls, projects, engine.url) as sandboxes,
    ):
        platform = Platform(urls, key_folder, projects, sandboxes.address, scripted_model)
        await prepare(platform.settings())
        await platform.replica(peer_patience_seconds=60)
        yield Chain(platform, sandboxes)
        await platform.close()


async def test_what_was_generated_is_shown(chain: Chain) -> None:
    person = await chain.platform.user()
    events = await person.checked(await person.start("Hello from Lisbon"))
    assert kinds(events)[-1] == "succeeded"
    assert b"<h1>Hello from Lisbon</h1>" in await chain.shown(person)
    sandbox = await chain.sandboxes.as_user(person.user).get(person.project_id)
    assert events[1].started.sandbox_id == sandbox.sandbox_id
    assert events[-1].succeeded.preview_url == sandbox.preview_url


async def test_a_file_is_shown_before_the_model_is_done(chain: Chain) -> None:
    gate = asyncio.Event()
    chain.platform.model.script = [
        Answer().write("index.html", "<h1>early</h1>").wait(gate).stop("tool_use")
    ]
    person = await chain.platform.user()
    generation_id = await person.start()

    async def early() -> bool:
        return b"early" in await chain.shown(person)

    await eventually(early)
    gate.set()
    assert kinds(await person.checked(generation_id))[-1] == "succeeded"


async def test_a_page_is_painted_while_the_model_types_it(chain: Chain) -> None:
    first, second = asyncio.Event(), asyncio.Event()
    whole = Answer().write("index.html", "<h1>painted</h1>" * 20, pieces=20)
    whole.steps.insert(10, ("wait", first))
    last = Answer().wait(second).text("Done.").stop("end_turn")
    chain.platform.model.script = [whole.stop("tool_use"), last]
    person = await chain.platform.user()
    generation_id = await person.start()

    async def headings() -> int:
        return (await chain.shown(person)).count(b"<h1>painted</h1>")

    async def begun() -> bool:
        return 0 < await headings() < 20

    async def over() -> bool:
        return await headings() == 20

    await eventually(begun)
    first.set()
    await eventually(over)
    second.set()
    assert kinds(await person.checked(generation_id))[-1] == "succeeded"


async def test_a_sandbox_that_dies_in_the_middle_is_replaced(chain: Chain) -> None:
    gate = asyncio.Event()
    chain.platform.model.script = [
        Answer()
        .write("first.html", "<p>first")
        .wait(gate)
        .write("index.html", "<p>second")
        .stop("tool_use"),
        done(),
    ]
    person = await chain.platform.user()
    generation_id = await person.start()

    async def first() -> bool:
        return "first.html" in await person.paths()

    await eventually(first)
    for vendor_id in await chain.sandboxes.at_vendor():
        await chain.sandboxes.parts.vendor.kill(vendor_id)
    gate.set()
    events = await person.checked(generation_id)
    assert kinds(events)[-1] == "succeeded"
    found = await person.get(generation_id)
    assert found.sandbox_id != events[1].started.sandbox_id
    assert await chain.shown(person, "/first.html")
    assert b"second" in await chain.shown(person)


async def test_a_failed_generation_leaves_no_sandbox_that_it_made(chain: Chain) -> None:
    chain.platform.model.script = [page(), refused(400)]
    person = await chain.platform.user()
    events = await person.checked(await person.start())
    assert kinds(events)[-1] == "failed"
    assert await chain.sandboxes.at_vendor() == set()


async def test_a_failed_follow_up_shows_what_was_there_before(chain: Chain) -> None:
    person = await chain.platform.user()
    await person.checked(await person.start("Good"))
    chain.platform.model.script = [page(content="<h1>Bad</h1>"), refused(400)]
    events = await person.checked(await person.start("Worse"))
    assert kinds(events)[-1] == "failed"

    async def good_again() -> bool:
        return b"<h1>Good</h1>" in await chain.shown(person)

    await eventually(good_again)
