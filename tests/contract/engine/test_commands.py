"""Commands, as both flavours of the SDK run them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from e2b import (
    AsyncSandbox,
    CommandExitException,
    InvalidArgumentException,
    NotFoundException,
    Sandbox,
    SandboxException,
    TimeoutException,
)

from kit.testing import eventually
from tests.contract.engine.conftest import Create
from tests.fixtures.engine import RunningEngine


async def test_a_command_answers_its_output_and_its_exit_code(box: Any) -> None:
    done = await box.commands.run("echo out; echo err >&2")
    assert (done.stdout, done.stderr, done.exit_code, done.error) == ("out\n", "err\n", 0, None)
    with pytest.raises(CommandExitException) as failed:
        await box.commands.run("echo before; exit 3")
    assert (failed.value.exit_code, failed.value.stdout) == (3, "before\n")
    with pytest.raises(CommandExitException) as missing:
        await box.commands.run("no-such-command")
    assert missing.value.exit_code == 127


async def test_output_arrives_while_the_command_runs(sandbox: AsyncSandbox) -> None:
    first = asyncio.Event()
    command = await sandbox.commands.run(
        "echo one; read line; echo $line",
        background=True,
        stdin=True,
        on_stdout=lambda _: first.set(),
    )
    await asyncio.wait_for(first.wait(), 10)
    await sandbox.commands.send_stdin(command.pid, "two\n")
    assert (await command.wait()).stdout == "one\ntwo\n"


async def test_much_output_arrives_whole_and_unbroken(box: Any) -> None:
    done = await box.commands.run("seq 1 200000; printf 'ünïcödé%.0s' $(seq 3000)")
    head, _, tail = done.stdout.partition("200000\n")
    assert head.splitlines() == [str(n) for n in range(1, 200_000)]
    assert tail == "ünïcödé" * 3000


async def test_the_environment_is_the_callers_and_the_vendors(create: Create) -> None:
    box = await create(envs={"FROM_CREATE": "a b", "BOTH": "create"})
    done = await box.commands.run("env", envs={"FROM_RUN": "c=d", "BOTH": "run"})
    seen = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert seen["FROM_CREATE"] == "a b"
    assert seen["FROM_RUN"] == "c=d"
    assert seen["BOTH"] == "run"
    assert seen["E2B_SANDBOX"] == "true"
    assert seen["E2B_SANDBOX_ID"] == box.sandbox_id
    assert seen["E2B_TEMPLATE_ID"] == "base"
    assert (seen["HOME"], seen["USER"], seen["LOGNAME"]) == ("/home/user", "user", "user")
    await box.kill()


async def test_a_command_runs_where_and_as_whom_it_is_told(box: Any) -> None:
    assert (await box.commands.run("pwd")).stdout == "/home/user\n"
    assert (await box.commands.run("pwd", cwd="/tmp")).stdout == "/tmp\n"
    await box.files.make_dir("site/css")
    assert (await box.commands.run("pwd", cwd="site/css")).stdout == "/home/user/site/css\n"
    assert (await box.commands.run("echo $HOME; pwd", user="root")).stdout == "/root\n/root\n"
    with pytest.raises(InvalidArgumentException, match="does not exist"):
        await box.commands.run("true", cwd="/nowhere")


async def test_the_tools_that_programs_expect_are_there(box: Any) -> None:
    done = await box.commands.run(
        "whoami; python --version; python3 -c 'print(1+1)'; git --version; curl --version | head -1;"
        "sudo -u root -E X=1 env | grep ^X=; sudo apt-get --version | head -1"
    )
    assert done.stdout.startswith("user\nPython 3")
    for wanted in ("2\n", "git version", "curl ", "X=1\n", "apt "):
        assert wanted in done.stdout


async def test_a_background_command_is_listed_until_it_is_killed(box: Any) -> None:
    command = await box.commands.run("sleep 300", background=True, cwd="/tmp", envs={"A": "b"})
    (listed,) = await box.commands.list()
    assert (listed.pid, listed.cmd, listed.cwd) == (command.pid, "/bin/bash", "/tmp")
    assert listed.args == ["-l", "-c", "sleep 300"]
    assert listed.envs == {"A": "b"}
    assert await box.commands.kill(command.pid)
    with pytest.raises(CommandExitException) as ended:
        await command.wait()
    assert (ended.value.exit_code, ended.value.error) == (-1, "signal: killed")
    assert not await box.commands.kill(command.pid)
    assert await box.commands.list() == []
    assert not await box.commands.kill(99999)


async def test_a_killed_command_is_gone_at_once(box: Any) -> None:
    for _ in range(20):
        command = await box.commands.run("sleep 300", background=True)
        assert await command.kill()
        assert not await command.kill()
        assert await box.commands.list() == []


async def test_output_can_be_iterated_over_as_it_comes(
    engine: RunningEngine, sandbox: AsyncSandbox
) -> None:
    def use() -> list[str | None]:
        box = Sandbox.connect(sandbox.sandbox_id, **engine.sdk)
        command = box.commands.run("echo one; read line; echo $line >&2", True, stdin=True)
        output = iter(command)
        first, _, _ = next(output)
        command.send_stdin("two\n")
        _, second, _ = next(output)
        assert list(output) == []
        assert command.wait().exit_code == 0
        return [first, second]

    assert await asyncio.to_thread(use) == ["one\n", "two\n"]


async def test_output_need_not_be_kept(box: Any) -> None:
    seen: list[str] = []
    done = await box.commands.run("seq 1000", on_stdout=seen.append, retain_output=False)
    assert (done.stdout, done.exit_code) == (None, 0)
    assert "".join(seen).split() == [str(number) for number in range(1, 1001)]


async def test_a_handle_feeds_its_own_command(box: Any) -> None:
    command = await box.commands.run("cat", background=True, stdin=True)
    await command.send_stdin(b"by \xff handle")
    await command.close_stdin()
    assert (await command.wait()).stdout == "by \ufffd handle"


async def test_killing_a_command_kills_what_it_started(box: Any) -> None:
    command = await box.commands.run("sleep 301 | sleep 301; true", background=True)
    await command.kill()
    left = await box.commands.run("pgrep -x sleep | wc -l")
    assert left.stdout.strip() == "0"


async def test_what_a_command_leaves_running_does_not_hold_it_open(box: Any) -> None:
    done = await box.commands.run("echo started; sleep 300 & echo $!", timeout=20)
    started, pid = done.stdout.split()
    assert started == "started"
    assert (await box.commands.run(f"kill -0 {pid}; echo $?")).stdout == "0\n"


async def test_standard_input_is_empty_unless_asked_for_and_can_be_closed(box: Any) -> None:
    assert (await box.commands.run("cat; echo end", timeout=10)).stdout == "end\n"
    command = await box.commands.run("cat", background=True, stdin=True)
    await box.commands.send_stdin(command.pid, "hello ")
    await box.commands.send_stdin(command.pid, "wörld")
    await box.commands.close_stdin(command.pid)
    assert (await command.wait()).stdout == "hello wörld"
    with pytest.raises((NotFoundException, SandboxException)):
        await box.commands.send_stdin(99999, "x")


async def test_input_larger_than_a_pipe_is_taken_as_the_command_reads(box: Any) -> None:
    command = await box.commands.run("sleep 0.3; wc -c", background=True, stdin=True)
    await box.commands.send_stdin(command.pid, "x" * 3_000_000)
    await box.commands.close_stdin(command.pid)
    assert (await command.wait()).stdout.strip() == "3000000"


async def test_input_streams_in_order(sandbox: AsyncSandbox) -> None:
    command = await sandbox.commands.run("cat", background=True, stdin=True)
    stream = sandbox.commands.stream_input(command.pid)
    for number in range(200):
        await stream.send(f"{number}\n")
    await stream.close()
    await sandbox.commands.close_stdin(command.pid)
    assert (await command.wait()).stdout.split() == [str(n) for n in range(200)]


async def test_streamed_input_is_heard_while_there_is_more_to_come(
    engine: RunningEngine, sandbox: AsyncSandbox
) -> None:
    def use() -> list[str | None]:
        box = Sandbox.connect(sandbox.sandbox_id, **engine.sdk)
        command = box.commands.run("while read n; do echo $((n+1)); done", True, stdin=True)
        output, heard = iter(command), []

        def numbers() -> Iterator[str]:
            yield "1\n"
            for _ in range(20):
                heard.append(next(output)[0])
                yield f"{heard[-1]}"

        box.commands.stream_input(command.pid, numbers())
        with pytest.raises(NotFoundException):
            box.commands.stream_input(99999, ["x"])
        assert command.kill()
        return heard

    assert await asyncio.to_thread(use) == [f"{n}\n" for n in range(2, 22)]


async def test_another_client_joins_a_running_command(box: Any) -> None:
    command = await box.commands.run("read go; echo went $go", background=True, stdin=True)
    other = await box.commands.connect(command.pid)
    await box.commands.send_stdin(command.pid, "well\n")
    assert (await other.wait()).stdout == "went well\n"
    assert (await command.wait()).stdout == "went well\n"
    with pytest.raises(NotFoundException):
        await box.commands.connect(99999)


async def test_the_end_of_a_command_is_there_for_who_connects_late(box: Any) -> None:
    command = await box.commands.run("exit 7", background=True)
    with pytest.raises(CommandExitException):
        await command.wait()
    late = await box.commands.connect(command.pid)
    with pytest.raises(CommandExitException) as ended:
        await late.wait()
    assert ended.value.exit_code == 7


async def test_a_command_outlives_the_client_that_started_it(box: Any) -> None:
    command = await box.commands.run("sleep 0.5; echo done > mark", background=True)
    await command.disconnect()

    await eventually(lambda: box.files.exists("mark"))


async def test_a_command_is_killed_when_its_time_is_up(box: Any) -> None:
    with pytest.raises(TimeoutException):
        await box.commands.run("sleep 300 | cat", timeout=0.5)
    for _ in range(200):
        if not await box.commands.list():
            break
        await asyncio.sleep(0.02)
    assert await box.commands.list() == []
    assert (await box.commands.run("pgrep -x sleep | wc -l")).stdout.strip() == "0"


async def test_killing_the_sandbox_ends_its_streams_as_not_running(create: Create) -> None:
    box = await create()
    command = await box.commands.run("sleep 300", background=True, timeout=0)
    waiting = asyncio.ensure_future(command.wait())
    await asyncio.sleep(0)
    await box.kill()
    with pytest.raises(SandboxException, match="killed or reached its end"):
        await waiting


async def test_a_stuck_reader_of_one_stream_stalls_nobody_else(
    engine: RunningEngine, sandbox: AsyncSandbox
) -> None:
    command = await sandbox.commands.run(
        "read go; head -c 8000000 /dev/zero | tr '\\0' x", background=True, stdin=True
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", engine.port)
    body = b'{"process":{"pid":%d}}' % command.pid
    token = sandbox.connection_config.sandbox_headers["X-Access-Token"]
    writer.write(
        f"POST /process.Process/Connect HTTP/1.1\r\nHost: x\r\nE2b-Sandbox-Id: {sandbox.sandbox_id}\r\n"
        f"X-Access-Token: {token}\r\nContent-Type: application/connect+json\r\n"
        f"Content-Length: {len(body) + 5}\r\n\r\n".encode()
        + b"\0"
        + len(body).to_bytes(4, "big")
        + body
    )
    assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
    # This client reads no further; the other must get all, and others' commands must run.
    await sandbox.commands.send_stdin(command.pid, "\n")
    assert len((await asyncio.wait_for(command.wait(), 60)).stdout) == 8_000_000
    assert (await sandbox.commands.run("echo fine")).stdout == "fine\n"
    writer.close()


async def test_bad_requests_are_answered_and_change_nothing(
    engine: RunningEngine, sandbox: AsyncSandbox
) -> None:
    token = sandbox.connection_config.sandbox_headers["X-Access-Token"]
    headers = {"E2b-Sandbox-Id": sandbox.sandbox_id, "X-Access-Token": token}
    async with httpx.AsyncClient(base_url=engine.url, headers=headers) as client:
        for path, body, code in (
            ("/process.Process/SendInput", {}, "invalid_argument"),
            ("/process.Process/SendSignal", {"process": {"pid": 1}}, "invalid_argument"),
            (
                "/process.Process/SendSignal",
                {"process": {"pid": 1}, "signal": "SIGNAL_SIGKILL"},
                "not_found",
            ),
            ("/filesystem.Filesystem/Stat", {"path": "a\0b"}, "invalid_argument"),
        ):
            answer = await client.post(path, json=body)
            assert answer.json()["code"] == code, answer.text
        wrong = await client.post(
            "/process.Process/List", json={}, headers={"X-Access-Token": "wrong"}
        )
        assert wrong.status_code == 401
        stranger = await client.post(
            "/filesystem.Filesystem/Stat",
            json={"path": "/"},
            headers={"Authorization": "Basic bm9ib2R5Og=="},
        )
        assert stranger.json()["code"] == "unauthenticated"
    with pytest.raises(InvalidArgumentException):
        await sandbox.commands.run("echo a\0b")
    assert await sandbox.commands.list() == []
