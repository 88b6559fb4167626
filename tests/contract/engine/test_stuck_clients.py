"""A client that stops reading, or sending, stalls nobody else and costs the engine next to nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from e2b import AsyncSandbox, PtySize

from kit.testing import eventually
from tests.fixtures.engine import RunningEngine

_MB = 1024 * 1024
# What one test's stuck clients may cost, all of them together; what flows by is far more.
_GROWTH = 48 * _MB
_RECEIVE_BUFFER = 64 * 1024


@dataclass
class Stuck:
    """A connection of a client that reads the head of the answer, and then nothing."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def head(self) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 20)

    async def read_to(self, wanted: bytes) -> None:
        """Read again, until ``wanted`` comes."""
        seen = b""
        async with asyncio.timeout(60):
            while wanted not in seen:
                part = await self.reader.read(65536)
                assert part, f"the connection ended without {wanted!r}"
                seen = seen[-len(wanted) :] + part


class Clients:
    """Opens them, and knows what the engine's memory was before."""

    def __init__(self, engine: RunningEngine) -> None:
        self._engine = engine
        self._process = psutil.Process(engine.pid)
        self._before = self._process.memory_info().rss
        self._open: list[asyncio.StreamWriter] = []

    async def send(self, sandbox: AsyncSandbox, head: str, body: bytes = b"") -> Stuck:
        """Send a request; ``head`` is its first line and the headers that are its own."""
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self._engine.port))
        reader, writer = await asyncio.open_connection(sock=sock, limit=8192)
        self._open.append(writer)
        first, *rest = head.split("\n")
        token = sandbox.connection_config.sandbox_headers["X-Access-Token"]
        lines = [
            f"{first} HTTP/1.1",
            "Host: engine",
            f"E2b-Sandbox-Id: {sandbox.sandbox_id}",
            f"X-Access-Token: {token}",
            *rest,
        ]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        return Stuck(reader, writer)

    async def stream(self, sandbox: AsyncSandbox, call: str, message: object) -> Stuck:
        """Begin a streaming RPC."""
        body = json.dumps(message).encode()
        framed = b"\0" + len(body).to_bytes(4, "big") + body
        head = (
            f"POST /{call}\nContent-Type: application/connect+json\nContent-Length: {len(framed)}"
        )
        stuck = await self.send(sandbox, head, framed)
        assert b" 200 " in await stuck.head()
        return stuck

    def growth(self) -> int:
        """Bytes that the engine holds more than before."""
        return self._process.memory_info().rss - self._before

    def close(self) -> None:
        for writer in self._open:
            writer.transport.abort()


@pytest.fixture
async def clients(engine: RunningEngine) -> AsyncIterator[Clients]:
    made = Clients(engine)
    yield made
    made.close()


@pytest.fixture
async def neighbour(engine: RunningEngine) -> AsyncIterator[AsyncSandbox]:
    made = await AsyncSandbox.create(timeout=120, **engine.sdk)
    yield made
    await made.kill()


async def answers(*sandboxes: AsyncSandbox) -> None:
    """Every kind of call is answered, by the sandbox of the stuck client and by another."""
    for sandbox in sandboxes:
        for _ in range(5):
            assert (await sandbox.commands.run("echo fine", timeout=30)).stdout == "fine\n"
            await sandbox.files.write("probe/f.txt", "fine")
            assert await sandbox.files.read("probe/f.txt") == "fine"
            assert [one.name for one in await sandbox.files.list("probe")] == ["f.txt"]
        watch: Any = await sandbox.files.watch_dir("probe", lambda _: None)
        await watch.stop()
        terminal = await sandbox.pty.create(PtySize(rows=24, cols=80), on_data=lambda _: None)
        assert await terminal.kill()


def shell(command: str) -> dict[str, object]:
    return {"process": {"cmd": "/bin/bash", "args": ["-l", "-c", command]}}


FLOOD = """
import os
block, done = b"x" * 65536, 0
with open("done", "w") as log:
    while True:
        done += os.write(1, block)
        log.seek(0)
        log.write(str(done))
        log.flush()
"""


async def test_a_stuck_reader_of_output_stops_its_command_and_nothing_else(
    clients: Clients, sandbox: AsyncSandbox, neighbour: AsyncSandbox
) -> None:
    await sandbox.files.write("flood.py", FLOOD)
    await clients.stream(sandbox, "process.Process/Start", shell("python3 flood.py"))

    async def begun() -> bool:
        return await sandbox.files.exists("done") and bool(await sandbox.files.read("done"))

    await eventually(begun)
    await answers(sandbox, neighbour)
    assert int(await sandbox.files.read("done")) < 16 * _MB
    assert clients.growth() < _GROWTH


async def test_a_stuck_terminal_stalls_nobody_else(
    clients: Clients, sandbox: AsyncSandbox, neighbour: AsyncSandbox
) -> None:
    await sandbox.files.write("flood.py", FLOOD)
    message = {**shell("python3 flood.py"), "pty": {"size": {"cols": 80, "rows": 24}}}
    await clients.stream(sandbox, "process.Process/Start", message)

    async def begun() -> bool:
        return await sandbox.files.exists("done") and bool(await sandbox.files.read("done"))

    await eventually(begun)
    await answers(sandbox, neighbour)
    assert int(await sandbox.files.read("done")) < 16 * _MB
    assert clients.growth() < _GROWTH


# Deep down, so that who watches from above with entries is sent far more than sockets can hold.
DEEP = "/".join(["busy", *("d" * 240 for _ in range(4))])
STORM = f"""
for number in range(4000):
    open(f"{DEEP}/{{number:05}}" + "x" * 235, "w").close()
"""


async def test_stuck_watchers_are_cut_off_and_the_others_hear_everything(
    clients: Clients, sandbox: AsyncSandbox, neighbour: AsyncSandbox
) -> None:
    await sandbox.files.make_dir(DEEP)
    await sandbox.files.write("storm.py", STORM)
    wanted = {"path": "busy", "recursive": True, "includeEntry": True}
    stuck = [
        await clients.stream(sandbox, "filesystem.Filesystem/WatchDir", wanted) for _ in range(5)
    ]
    heard: set[int] = set()
    await sandbox.files.watch_dir(DEEP, lambda event: heard.add(int(event.name[:5])), timeout=0)
    storm = await sandbox.commands.run("python3 storm.py", background=True)
    await answers(sandbox, neighbour)
    await storm.wait()
    await eventually(lambda: heard == set(range(4000)), seconds=60)
    assert clients.growth() < _GROWTH
    for one in stuck:
        await one.read_to(b"too slowly")
    await answers(sandbox)


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_stuck_downloads_are_not_read_ahead(
    clients: Clients, sandbox: AsyncSandbox, neighbour: AsyncSandbox, encoding: str
) -> None:
    await sandbox.commands.run("head -c 60000000 /dev/urandom > large")
    for _ in range(20):
        stuck = await clients.send(sandbox, f"GET /files?path=large\nAccept-Encoding: {encoding}")
        assert b" 200 " in await stuck.head()
    await answers(sandbox, neighbour)
    assert clients.growth() < _GROWTH


async def test_stuck_uploads_hold_nothing_up_and_can_be_overtaken(
    clients: Clients, sandbox: AsyncSandbox, neighbour: AsyncSandbox
) -> None:
    size = 50 * _MB
    for number in range(20):
        head = f"POST /files?path=up{number}\nContent-Type: application/octet-stream"
        await clients.send(sandbox, f"{head}\nContent-Length: {size}", bytes(2 * _MB))

    async def arrived() -> bool:
        sizes = [one.size for one in await sandbox.files.list(".") if one.name.startswith("up")]
        return len(sizes) == 20 and min(sizes) > _MB

    await eventually(arrived)
    await answers(sandbox, neighbour)
    assert clients.growth() < _GROWTH
    await sandbox.files.write("up0", "overtaken")
    assert await sandbox.files.read("up0") == "overtaken"


async def test_input_that_nobody_reads_holds_up_its_own_command_only(
    clients: Clients, sandbox: AsyncSandbox, neighbour: AsyncSandbox
) -> None:
    deaf = await sandbox.commands.run("sleep 300", background=True, stdin=True, timeout=0)
    reader = await sandbox.commands.run("cat", background=True, stdin=True, timeout=0)
    waiting = asyncio.create_task(sandbox.commands.send_stdin(deaf.pid, "x" * 3_000_000))
    await sandbox.commands.send_stdin(reader.pid, "heard")
    await sandbox.commands.close_stdin(reader.pid)
    assert (await reader.wait()).stdout == "heard"
    await answers(sandbox, neighbour)
    assert not waiting.done()
    assert clients.growth() < _GROWTH
    await deaf.kill()
    (refused,) = await asyncio.gather(waiting, return_exceptions=True)
    assert isinstance(refused, Exception)


def held(engine: RunningEngine) -> set[str]:
    """The files of sandboxes that the engine has open: each keeps the whole disk of its sandbox."""
    found = set()
    for descriptor in Path(f"/proc/{engine.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found.add(descriptor.readlink().name)
    return found & {"up", "large"}


async def test_a_killed_sandbox_lets_go_of_its_stuck_clients(
    engine: RunningEngine, clients: Clients
) -> None:
    sandbox = await AsyncSandbox.create(timeout=120, **engine.sdk)
    await sandbox.commands.run("head -c 60000000 /dev/urandom > large")
    flood = await clients.stream(sandbox, "process.Process/Start", shell("cat /dev/zero"))
    download = await clients.send(sandbox, "GET /files?path=large")
    assert b" 200 " in await download.head()
    upload = await clients.send(
        sandbox,
        "POST /files?path=up\nContent-Type: application/octet-stream\nContent-Length: 9999999",
        bytes(1000),
    )
    await eventually(lambda: held(engine) == {"up", "large"})
    assert await sandbox.kill()
    # Who reads again finds an end, and not a stream that hangs for ever.
    await flood.read_to(b"was killed")
    await asyncio.wait_for(download.reader.read(-1), 60)
    await upload.read_to(b" 502 ")
    await eventually(lambda: not held(engine))
