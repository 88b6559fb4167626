"""Calls that ask for too much are refused by name, and cost the others nothing."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from e2b import AsyncSandbox, PtySize, SandboxException, TimeoutException

from kit.testing import eventually
from tests.fixtures.engine import RunningEngine

_MB = 1024 * 1024


async def deaf(sandbox: AsyncSandbox) -> int:
    """A command that does not read its standard input."""
    command = await sandbox.commands.run("sleep 300", background=True, stdin=True, timeout=0)
    return int(command.pid)


async def said(sandbox: AsyncSandbox, pid: int, size: int) -> Exception:
    """What comes of sending input that nobody reads, to a caller who waits for a second."""
    try:
        await sandbox.commands.send_stdin(pid, "x" * size, request_timeout=1)
    except Exception as exc:  # noqa: BLE001 -- it is what this is about
        return exc
    raise AssertionError("somebody read it")


async def test_input_that_nobody_reads_is_refused_beyond_a_limit(sandbox: AsyncSandbox) -> None:
    pid = await deaf(sandbox)
    sending = [
        asyncio.create_task(sandbox.commands.send_stdin(pid, "x" * 10 * _MB)) for _ in range(2)
    ]
    done, waiting = await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
    assert len(done) == len(waiting) == 1
    assert "no more than 16777216 bytes wait" in str(done.pop().exception())
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_input_of_a_caller_that_has_gone_is_dropped(sandbox: AsyncSandbox) -> None:
    pid = await deaf(sandbox)
    await said(sandbox, pid, 10 * _MB)

    async def forgotten() -> bool:
        return isinstance(await said(sandbox, pid, 10 * _MB), TimeoutException)

    await eventually(forgotten)


async def test_input_is_given_up_at_the_callers_deadline(
    engine: RunningEngine, sandbox: AsyncSandbox
) -> None:
    message: dict[str, Any] = {
        "process": {"pid": await deaf(sandbox)},
        "input": {"stdin": "eHh4" * _MB},
    }
    headers = {
        **sandbox.connection_config.sandbox_headers,
        "Content-Type": "application/json",
        "Connect-Protocol-Version": "1",
        "Connect-Timeout-Ms": "500",
    }
    async with httpx.AsyncClient(timeout=60) as client:
        got = await client.post(
            f"{engine.url}/process.Process/SendInput", content=json.dumps(message), headers=headers
        )
    assert got.json()["code"] == "deadline_exceeded"


async def test_a_command_longer_than_any_program_takes_is_refused(sandbox: AsyncSandbox) -> None:
    with pytest.raises(SandboxException, match="larger than configured max 2097152"):
        await sandbox.commands.run("true", envs={"LONG": "x" * 3 * _MB})
    assert (await sandbox.commands.run("echo fine")).stdout == "fine\n"


async def test_a_terminal_of_an_impossible_size_is_refused(sandbox: AsyncSandbox) -> None:
    with pytest.raises(SandboxException, match=r"pty\.size\.rows: must be 1 to 65535"):
        await sandbox.pty.create(PtySize(rows=70_000, cols=80), on_data=lambda _: None)
    terminal = await sandbox.pty.create(PtySize(rows=24, cols=80), on_data=lambda _: None)
    with pytest.raises(SandboxException, match=r"pty\.size\.cols: must be 1 to 65535"):
        await sandbox.pty.resize(terminal.pid, PtySize(rows=24, cols=0))
    assert await terminal.kill()


async def test_a_watcher_hears_that_its_sandbox_is_gone(engine: RunningEngine) -> None:
    sandbox = await AsyncSandbox.create(timeout=120, **engine.sdk)
    ends: list[Exception | None] = []
    await sandbox.files.watch_dir("/home/user", lambda _: None, on_exit=ends.append)
    assert await sandbox.kill()
    await eventually(lambda: bool(ends))
    assert isinstance(ends[0], TimeoutException), repr(ends[0])
