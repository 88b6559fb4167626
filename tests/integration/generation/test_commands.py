"""Commands of the model's run in the project's jail, within bounds, and what they make is kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from kit.testing import eventually
from protos.generation.v1 import generation_pb2 as pb
from services.generation.app import prepare
from tests.fixtures.engine import RunningEngine
from tests.fixtures.generation import Person, Platform
from tests.fixtures.history import kinds
from tests.fixtures.postgres import Postgres
from tests.fixtures.projects import running_projects
from tests.fixtures.sandbox import running_sandboxes
from tests.fixtures.scripted_model import Answer, ScriptedModel, done, page


@asynccontextmanager
async def _running(
    postgres: Postgres, key_folder: Path, engine: RunningEngine, model: ScriptedModel
) -> AsyncIterator[Platform]:
    urls = await postgres.fresh_async()
    async with (
        running_projects(urls, key_folder) as projects,
        running_sandboxes(urls, projects, engine.url) as sandboxes,
    ):
        platform = Platform(urls, key_folder, projects, sandboxes.address, model)
        await prepare(platform.settings())
        yield platform
        await platform.close()


@pytest.fixture
async def platform(
    postgres: Postgres, key_folder: Path, engine: RunningEngine, scripted_model: ScriptedModel
) -> AsyncIterator[Platform]:
    """Projects, sandboxes over the local engine, and generation, whose commands may take three seconds."""
    async with _running(postgres, key_folder, engine, scripted_model) as made:
        await made.replica(peer_patience_seconds=60, command_seconds=3)
        yield made


def run(*commands: str) -> Answer:
    answer = Answer()
    for command in commands:
        answer.call("run_command", json.dumps({"command": command}))
    return answer.stop("tool_use")


def results(platform: Platform) -> list[Any]:
    found: list[Any] = platform.model.requests[-1]["messages"][-1]["content"]
    return found


def ran(events: list[pb.GenerationEvent]) -> list[pb.CommandRun]:
    return [event.command_run for event in events if event.WhichOneof("event") == "command_run"]


async def with_page(platform: Platform) -> Person:
    person = await platform.user()
    platform.model.script.insert(0, page())
    platform.model.script.insert(1, done())
    await person.checked(await person.start())
    return person


async def test_what_a_command_does_to_files_is_told_and_kept(platform: Platform) -> None:
    platform.model.script = [
        run("wc -c < index.html; echo made > made.txt; mv index.html home.html; exit 3"),
        done(),
    ]
    person = await with_page(platform)
    events = await person.checked(await person.start("Count it"))
    assert kinds(events)[-1] == "succeeded"
    (command,) = ran(events)
    assert (command.exit_code, command.output.strip()) == (3, "26")
    assert command.command.startswith("wc -c")
    names = kinds(events)
    assert names.index("command_run") < names.index("file_written")
    assert await person.paths() == ["home.html", "made.txt"]
    assert await person.read("made.txt", events[-1].succeeded.version) == b"made\n"
    (result,) = results(platform)
    assert "Exit code 3" in result["content"]
    assert "made.txt written" in result["content"]
    assert "index.html deleted" in result["content"]


async def test_a_command_is_stopped_in_time_and_its_output_is_bounded(platform: Platform) -> None:
    platform.model.script = [
        run("echo begun; sleep 60", "head -c 200000 /dev/zero | tr '\\0' x; echo end"),
        done(),
    ]
    person = await with_page(platform)
    events = await person.checked(await person.start("Wait"))
    slow, loud = ran(events)
    assert (slow.exit_code, slow.output) == (-1, "begun\n")
    assert loud.exit_code == 0
    assert loud.output.endswith("xend\n")
    assert len(loud.output.encode()) == 4_096
    stopped, cut = results(platform)
    assert "Stopped after 3 seconds" in stopped["content"]
    assert len(cut["content"]) < 17_000


async def test_a_command_reaches_nothing_outside_its_jail(platform: Platform) -> None:
    view = json.dumps({"command": "view", "path": "leak.txt"})
    inside = json.dumps({"command": "view", "path": "root/etc/passwd"})
    platform.model.script = [
        run("env; ln -s /etc/passwd leak.txt; ln -s / root; ls /home /tmp /work 2>&1"),
        Answer()
        .call("str_replace_based_edit_tool", view)
        .call("str_replace_based_edit_tool", inside)
        .stop("tool_use"),
        done(),
    ]
    person = await with_page(platform)
    events = await person.checked(await person.start("Look around"))
    (command,) = ran(events)
    for secret in ("a-key-nobody-may-see", "ANTHROPIC", "DATABASE_URL", "SERVICE_KEY", "TOKEN"):
        assert secret not in command.output
    assert str(Path(__file__).parents[3]) not in command.output
    # What counts is the store's path: a link in the sandbox is no file of the project.
    assert all(result["is_error"] for result in results(platform))
    assert await person.paths() == ["index.html"]


async def test_cancelling_does_not_wait_for_a_command(platform: Platform) -> None:
    await platform.replicas.pop(0).stop()
    await platform.replica(peer_patience_seconds=60, command_seconds=600)
    platform.model.script = [run("touch begun.txt; sleep 500"), done()]
    person = await with_page(platform)
    generation_id = await person.start("Wait")

    async def begun() -> bool:
        return "begun.txt" in await person.paths()

    await eventually(begun)
    await person.stub().CancelGeneration(pb.CancelGenerationRequest(generation_id=generation_id))
    async with asyncio.timeout(60):
        events = await person.checked(generation_id)
    assert kinds(events)[-1] == "cancelled"
    assert "begun.txt" in await person.paths()
