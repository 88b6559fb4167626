"""Sandboxes that try to take everything: the engine and the neighbours go on answering."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from e2b import AsyncCommandHandle, AsyncSandbox, SandboxException

from tests.fixtures.engine import RunningEngine

_BOMB = "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass\n"


@pytest.fixture
async def neighbour(engine: RunningEngine) -> AsyncIterator[AsyncSandbox]:
    """A sandbox that must not notice."""
    made = await AsyncSandbox.create(timeout=120, **engine.sdk)
    await made.files.write("mine.txt", "untouched")
    yield made
    await made.kill()


async def answers(engine: RunningEngine, neighbour: AsyncSandbox) -> None:
    """The engine makes sandboxes, and the neighbour works."""
    assert await neighbour.files.read("mine.txt") == "untouched"
    assert (await neighbour.commands.run("echo ok", timeout=30)).stdout == "ok\n"
    fresh = await AsyncSandbox.create(timeout=30, **engine.sdk)
    assert await fresh.is_running()
    await fresh.kill()


async def test_a_fork_bomb_stays_in_its_jail_and_dies_with_it(
    engine: RunningEngine, sandbox: AsyncSandbox, neighbour: AsyncSandbox
) -> None:
    await sandbox.files.write("bomb.py", _BOMB)
    # It holds the stream's pipes: only the deadline, which the engine keeps, ends the call.
    bomb = await sandbox.commands.run("python3 bomb.py", background=True, timeout=3)
    await answers(engine, neighbour)
    with pytest.raises(SandboxException):
        await bomb.wait()
    assert await sandbox.files.read("bomb.py") == _BOMB
    assert await sandbox.kill()
    await answers(engine, neighbour)


async def test_a_memory_bomb_kills_the_command_and_not_the_sandbox(
    engine: RunningEngine, sandbox: AsyncSandbox, neighbour: AsyncSandbox
) -> None:
    with pytest.raises(SandboxException):
        await sandbox.commands.run(
            "python3 -c 'b=[]\nwhile True: b.append(bytearray(10**7))'", timeout=60
        )
    await answers(engine, neighbour)
    assert (await sandbox.commands.run("echo alive")).stdout == "alive\n"


async def test_a_disk_filler_fills_its_own_disk_alone(
    engine: RunningEngine, sandbox: AsyncSandbox, neighbour: AsyncSandbox
) -> None:
    said = await sandbox.commands.run(
        "for d in / /tmp /home/user /var/tmp; do cat /dev/zero > $d/fill; done 2>&1; true",
        timeout=60,
    )
    assert said.stdout.count("No space left") == 4
    (measured,) = await sandbox.get_metrics()
    assert measured.disk_used <= measured.disk_total == 256 * 1024 * 1024
    await answers(engine, neighbour)
    await sandbox.files.remove("/fill")
    await sandbox.files.write("again", "room")


async def test_taking_all_descriptors_hurts_only_oneself(
    engine: RunningEngine, sandbox: AsyncSandbox, neighbour: AsyncSandbox
) -> None:
    await sandbox.files.write(
        "take.py",
        "import os, time\nheld = []\ntry:\n  while True: held.append(os.open('/dev/null', 0))\n"
        "except OSError as e: print(len(held), e.errno, flush=True)\ntime.sleep(300)\n",
    )
    first = asyncio.Event()
    takers = [
        await sandbox.commands.run(
            "exec python3 take.py", background=True, on_stdout=lambda _: first.set()
        )
        for _ in range(5)
    ]
    await asyncio.wait_for(first.wait(), 30)
    await answers(engine, neighbour)
    assert (await sandbox.commands.run("echo alive")).stdout == "alive\n"
    for taker in takers:
        await taker.kill()


async def test_a_flood_of_output_that_nobody_reads_costs_the_engine_nothing(
    engine: RunningEngine, sandbox: AsyncSandbox, neighbour: AsyncSandbox
) -> None:
    flood = await sandbox.commands.run("yes", background=True, timeout=0)
    await flood.disconnect()
    await answers(engine, neighbour)
    assert await sandbox.commands.kill(flood.pid)


async def test_directories_nested_beyond_any_path_can_be_made_and_cleaned(
    engine: RunningEngine, sandbox: AsyncSandbox, neighbour: AsyncSandbox
) -> None:
    await sandbox.commands.run(
        "python3 -c \"import os\nfor n in range(3000): os.mkdir('d'); os.chdir('d')\"", timeout=60
    )
    assert len(await sandbox.files.list("/home/user", depth=4000)) > 500
    await answers(engine, neighbour)
    assert (await sandbox.commands.run("rm -rf d; echo gone")).stdout == "gone\n"


async def start_until_refused(
    sandbox: AsyncSandbox, started: list[AsyncCommandHandle[Any]]
) -> None:
    for _ in range(30):
        one: Any = await sandbox.commands.run("exec sleep 300", background=True)
        started.append(one)


async def test_commands_beyond_the_cap_are_refused_and_room_is_room_again(
    engine: RunningEngine, sandbox: AsyncSandbox, neighbour: AsyncSandbox
) -> None:
    await sandbox.commands.run("for n in $(seq 240); do setsid sleep 300 & done")
    started: list[AsyncCommandHandle[Any]] = []
    with pytest.raises(SandboxException, match="cannot start a process"):
        await start_until_refused(sandbox, started)
    await answers(engine, neighbour)
    for one in started:
        await one.kill()
    assert (await sandbox.commands.run("echo room")).stdout == "room\n"
