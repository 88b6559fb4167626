"""Whatever goes wrong at the sandbox vendor in mid-generation: it ends well, and its preview shows what was written."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kit.testing import eventually
from services.generation.app import prepare
from tests.fixtures.engine import RunningEngine, start_engine
from tests.fixtures.faulty_relay import Fault, Harm, Relay, running_relay
from tests.fixtures.generation import Person, Platform
from tests.fixtures.history import kinds
from tests.fixtures.postgres import Postgres
from tests.fixtures.projects import running_projects
from tests.fixtures.sandbox import SandboxService, running_sandboxes
from tests.fixtures.scripted_model import Answer, ScriptedModel, done

FIRST, SECOND = "<!doctype html><h1>first</h1>", "h1 { color: teal }"
CREATE, UPLOAD = r"POST (/v\d+)?/sandboxes$", r"POST /files(\?|$)"
REMOVE = r"POST /filesystem\.Filesystem/Remove"
RPC = r"POST /(filesystem|process)\."

FAULTS = [
    Fault("create answers 500", CREATE, Harm.ANSWER, status=500, times=2),
    Fault("create answers 429", CREATE, Harm.ANSWER, status=429, times=2),
    Fault("create is reset", CREATE, Harm.RESET, times=2),
    Fault("create's answer is lost", CREATE, Harm.ANSWER_LOST),
    Fault("create hangs", CREATE, Harm.HANG, seconds=2),
    Fault("an upload answers 500", UPLOAD, Harm.ANSWER, status=500, times=2),
    Fault("an upload answers 502", UPLOAD, Harm.ANSWER, status=502, times=2),
    Fault("an upload is reset", UPLOAD, Harm.RESET, times=2),
    Fault("an upload's answer is lost", UPLOAD, Harm.ANSWER_LOST, times=2),
    Fault("an upload hangs", UPLOAD, Harm.HANG, seconds=2),
    Fault("a call answers 500", RPC, Harm.ANSWER, status=500, times=2),
    Fault("a call is reset", RPC, Harm.RESET, times=2),
    Fault("a call's answer is lost", RPC, Harm.ANSWER_LOST, times=2),
]


@dataclass
class Chain:
    """All three services, and what stands between them and the engine."""

    platform: Platform
    sandboxes: SandboxService
    relay: Relay

    async def shown(self, person: Person, path: str) -> bytes:
        """What the project's preview shows."""
        sandbox = await self.sandboxes.as_user(person.user).get(person.project_id)
        return (await self.sandboxes.preview(sandbox.sandbox_url, path)).content

    async def check(self, person: Person, generation_id: str) -> None:
        """It ended well, once; the store and the preview have the same bytes."""
        events = await asyncio.wait_for(person.checked(generation_id), 90)
        assert kinds(events)[-1] == "succeeded", events[-1]
        assert [version.number for version in await person.versions()] == [1]
        for path, text in (("index.html", FIRST), ("style.css", SECOND)):
            assert await person.read(path) == text.encode()
        sandboxes = self.sandboxes.as_user(person.user)

        async def in_sandbox() -> bool:
            # The live reload's script is added on the way out: the files themselves are looked at.
            found = [
                await sandboxes.read(person.project_id, p) for p in ("index.html", "style.css")
            ]
            return found == [FIRST.encode(), SECOND.encode()]

        await eventually(in_sandbox)
        assert b"<h1>first</h1>" in await self.shown(person, "/")
        await self.platform.check_histories()


@pytest.fixture(scope="module")
def own_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEngine]:
    """An engine that these tests may harm."""
    running = start_engine(tmp_path_factory.mktemp("harmed-engine"))
    yield running
    running.stop()


@pytest.fixture
async def chain(
    postgres: Postgres, key_folder: Path, own_engine: RunningEngine, scripted_model: ScriptedModel
) -> AsyncIterator[Chain]:
    """Projects, sandboxes over the relay, and generation."""
    urls = await postgres.fresh_async()
    async with (
        running_relay(own_engine.url) as relay,
        running_projects(urls, key_folder) as projects,
        running_sandboxes(urls, projects, relay.url, sweep_seconds=1) as sandboxes,
    ):
        platform = Platform(urls, key_folder, projects, sandboxes.address, scripted_model)
        await prepare(platform.settings())
        await platform.replica(peer_patience_seconds=60)
        yield Chain(platform, sandboxes, relay)
        relay.faults.clear()
        await platform.close()


def two_files(gate: asyncio.Event | None = None) -> list[Answer]:
    """A page, and its style after the gate."""
    answer = Answer().write("index.html", FIRST)
    if gate is not None:
        answer.wait(gate)
    return [answer.write("style.css", SECOND).stop("tool_use"), done()]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_a_fault_of_the_vendor(chain: Chain, fault: Fault) -> None:
    chain.platform.model.script = two_files()
    person = await chain.platform.user()
    chain.relay.arm(fault)
    generation_id = await person.start()
    await chain.check(person, generation_id)
    assert chain.relay.harmed


@pytest.mark.parametrize("fault", FAULTS[5:], ids=lambda fault: fault.name)
async def test_a_fault_between_two_files(chain: Chain, fault: Fault) -> None:
    gate = asyncio.Event()
    chain.platform.model.script = two_files(gate)
    person = await chain.platform.user()
    generation_id = await person.start()
    await eventually(lambda: _has(person, "index.html"))
    chain.relay.arm(fault)
    gate.set()
    await chain.check(person, generation_id)


async def test_a_write_that_fails_and_can_not_be_taken_back(chain: Chain) -> None:
    gate = asyncio.Event()
    chain.platform.model.script = two_files(gate)
    person = await chain.platform.user()
    generation_id = await person.start()
    await eventually(lambda: _has(person, "index.html"))
    chain.relay.arm(Fault("uploads", UPLOAD, Harm.ANSWER, status=500, times=4))
    chain.relay.arm(Fault("removals", REMOVE, Harm.ANSWER, status=500, times=4))
    gate.set()
    await chain.check(person, generation_id)
    assert any("Remove" in line for line in chain.relay.harmed)


async def test_a_sandbox_killed_before_the_first_file(chain: Chain) -> None:
    gate = asyncio.Event()
    chain.platform.model.script = [
        Answer()
        .text("I begin.")
        .wait(gate)
        .write("index.html", FIRST)
        .write("style.css", SECOND)
        .stop("tool_use"),
        done(),
    ]
    person = await chain.platform.user()
    generation_id = await person.start()
    await eventually(lambda: _kill_all(chain))
    gate.set()
    await chain.check(person, generation_id)


async def test_a_sandbox_killed_between_the_turns(chain: Chain) -> None:
    gate = asyncio.Event()
    chain.platform.model.script = [
        Answer().write("index.html", FIRST).write("style.css", SECOND).stop("tool_use"),
        Answer().wait(gate).text("Done.").stop("end_turn"),
    ]
    person = await chain.platform.user()
    generation_id = await person.start()
    await eventually(lambda: _has(person, "style.css"))
    await eventually(lambda: _kill_all(chain))
    gate.set()
    events = await person.checked(generation_id)
    assert kinds(events)[-1] == "succeeded"
    # Nothing was left to write: whoever looks next brings it back.
    await chain.sandboxes.as_user(person.user).create(person.project_id)
    await chain.check(person, generation_id)


async def test_an_engine_that_stands_still(chain: Chain, own_engine: RunningEngine) -> None:
    gate = asyncio.Event()
    chain.platform.model.script = two_files(gate)
    person = await chain.platform.user()
    generation_id = await person.start()
    await eventually(lambda: _has(person, "index.html"))
    own_engine.process.send_signal(signal.SIGSTOP)
    try:
        gate.set()
        await asyncio.sleep(3)
    finally:
        own_engine.process.send_signal(signal.SIGCONT)
    await chain.check(person, generation_id)


async def test_an_engine_that_is_killed_and_started_again(
    chain: Chain, tmp_path: Path, scripted_model: ScriptedModel
) -> None:
    gate = asyncio.Event()
    scripted_model.script = two_files(gate)
    first = await asyncio.to_thread(start_engine, tmp_path / "engine")
    original, chain.relay.engine = chain.relay.engine, chain.relay.engine.copy_with(port=first.port)
    second = None
    try:
        person = await chain.platform.user()
        generation_id = await person.start()
        await eventually(lambda: _has(person, "index.html"))
        first.process.kill()
        first.process.wait()
        gate.set()
        second = await asyncio.to_thread(start_engine, tmp_path / "engine", port=first.port)
        await chain.check(person, generation_id)
    finally:
        for engine in (first, second):
            if engine is not None and engine.process.poll() is None:
                await asyncio.to_thread(engine.stop)
        chain.relay.engine = original


async def _has(person: Person, path: str) -> bool:
    return path in await person.paths()


async def _kill_all(chain: Chain) -> bool:
    """Whether there was one."""
    found = await chain.sandboxes.at_vendor()
    for vendor_id in found:
        await chain.sandboxes.parts.vendor.kill(vendor_id)
    return bool(found)
