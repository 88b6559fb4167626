"""Terminals, as both flavours of the SDK open them."""

from __future__ import annotations

import asyncio

import pytest
from e2b import AsyncSandbox, CommandExitException, PtySize, Sandbox

from tests.fixtures.engine import RunningEngine


class Screen(bytearray):
    """What a terminal shows; ``until`` waits for a piece of it."""

    def show(self, data: bytes) -> None:
        self += data

    async def until(self, wanted: bytes) -> None:
        for _ in range(500):
            if wanted in bytes(self):
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"{wanted!r} never came: {bytes(self)!r}")


async def test_a_terminal_is_a_shell_of_the_asked_size_that_can_be_resized(
    sandbox: AsyncSandbox,
) -> None:
    screen = Screen()
    terminal = await sandbox.pty.create(
        PtySize(rows=24, cols=80), on_data=screen.show, envs={"MARK": "here"}, cwd="/tmp"
    )
    await sandbox.pty.send_stdin(terminal.pid, b"echo size=$(tput cols)x$(tput lines) $MARK $PWD\n")
    await screen.until(b"size=80x24 here /tmp")
    await sandbox.pty.resize(terminal.pid, PtySize(rows=40, cols=133))
    await sandbox.pty.send_stdin(terminal.pid, b"stty size; tty\n")
    await screen.until(b"40 133")
    await screen.until(b"/dev/pts/")
    await sandbox.pty.send_stdin(terminal.pid, b"exit 5\n")
    with pytest.raises(CommandExitException) as ended:
        await terminal.wait()
    assert ended.value.exit_code == 5


async def test_control_keys_reach_the_foreground_job(sandbox: AsyncSandbox) -> None:
    screen = Screen()
    terminal = await sandbox.pty.create(PtySize(rows=24, cols=80), on_data=screen.show)
    await sandbox.pty.send_stdin(terminal.pid, b"sleep 300\n")
    await screen.until(b"sleep 300")
    for _ in range(50):
        if (await sandbox.commands.run("pgrep -x sleep | wc -l")).stdout.strip() == "1":
            break
    await sandbox.pty.send_stdin(terminal.pid, b"\x03")
    await sandbox.pty.send_stdin(terminal.pid, b"echo st''ill here\n")
    await screen.until(b"still here")
    assert await sandbox.pty.kill(terminal.pid)
    with pytest.raises(CommandExitException):
        await terminal.wait()
    assert not await sandbox.pty.kill(terminal.pid)


async def test_another_client_joins_a_terminal(sandbox: AsyncSandbox) -> None:
    first, second = Screen(), Screen()
    terminal = await sandbox.pty.create(PtySize(rows=24, cols=80), on_data=first.show)
    await terminal.disconnect()
    again = await sandbox.pty.connect(terminal.pid, on_data=second.show)
    await sandbox.pty.send_stdin(again.pid, b"echo jo''ined\n")
    await second.until(b"joined")
    await sandbox.pty.kill(again.pid)


async def test_a_terminal_takes_streamed_input(sandbox: AsyncSandbox) -> None:
    screen = Screen()
    terminal = await sandbox.pty.create(PtySize(rows=24, cols=80), on_data=screen.show)
    stream = sandbox.pty.stream_input(terminal.pid)
    await stream.send(b"echo str''eamed; ")
    await stream.send(b"exit 4\n")
    await stream.close()
    await screen.until(b"streamed")
    with pytest.raises(CommandExitException) as ended:
        await terminal.wait()
    assert ended.value.exit_code == 4


async def test_the_synchronous_sdk_uses_terminals_too(
    engine: RunningEngine, sandbox: AsyncSandbox
) -> None:
    def use() -> list[bytes]:
        box = Sandbox.connect(sandbox.sandbox_id, **engine.sdk)
        terminal = box.pty.create(PtySize(rows=24, cols=80), cwd="/tmp", envs={"MARK": "here"})
        box.pty.resize(terminal.pid, PtySize(rows=40, cols=133))
        joined = box.pty.connect(terminal.pid)
        box.pty.send_stdin(terminal.pid, b"stty size; echo $MARK $PWD\n")
        box.pty.stream_input(terminal.pid, [b"echo str''eamed; ", b"exit\n"])
        shown = [b"".join(data for _, _, data in one if data) for one in (terminal, joined)]
        other = box.pty.create(PtySize(rows=24, cols=80))
        assert box.pty.kill(other.pid)
        assert not box.pty.kill(other.pid)
        with pytest.raises(CommandExitException):
            other.wait()
        return shown

    for shown in await asyncio.to_thread(use):
        for wanted in (b"40 133", b"here /tmp", b"streamed"):
            assert wanted in shown
