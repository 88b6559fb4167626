"""Bodies on their way through the proxy: as they come, no faster than they are read, never held."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import psutil
import pytest
from e2b import AsyncSandbox

from tests.fixtures.engine import RunningEngine
from tests.fixtures.previews import Talk, start

_MB = 1024 * 1024
_SIZE = 200 * _MB

# /pour answers with so many megabytes, /piece with 60 kB; /tunnel pours as a WebSocket;
# /drink reads its request's body and tells its digest; /deaf
# reads nothing of it; /refuse answers at once, and reads then or (/slam) hangs up; /mirror sends
# back what it gets, as it gets it; /count tells how much it has poured, and whether it was cut off.
_STREAMS = r"""
import asyncio, hashlib, sys
poured, gone = 0, 0
async def body(head, reader):
    if "chunked" in head:
        while size := int(await reader.readline(), 16):
            yield await reader.readexactly(size); await reader.readline()
        return
    left = next(int(l[15:]) for l in head.split("\r\n") if l.startswith("content-length:"))
    while left:
        data = await reader.read(min(left, 65536))
        if not data: return
        left -= len(data); yield data
async def serve(reader, writer):
    global poured, gone
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split(" ")[1]
        if path.startswith("/pour/"):
            size = int(path[6:]) * 2**20
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            piece = b"p" * 65536
            for _ in range(size // len(piece)):
                writer.write(piece); await writer.drain(); poured += len(piece)
        elif path == "/tunnel":
            writer.write(b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            while poured < 2**30: writer.write(bytes(65536)); await writer.drain(); poured += 65536
        elif path == "/piece":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + b"p" * 60000)
            poured += 60000
        elif path == "/drink":
            digest, size = hashlib.sha256(), 0
            async for data in body(head, reader): digest.update(data); size += len(data)
            text = b"%d %s" % (size, digest.hexdigest().encode())
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text)
        elif path == "/deaf":
            await asyncio.sleep(3600)
        elif path in ("/refuse", "/slam"):
            writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno!")
            await writer.drain()
            if path == "/refuse": await reader.read(-1)
        elif path == "/mirror":
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            async for data in body(head, reader):
                writer.write(b"%x\r\n%b\r\n" % (len(data), data)); await writer.drain()
            writer.write(b"0\r\n\r\n")
        else:
            text = b"%d %d" % (poured, gone)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text)
        await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError, ValueError):
        gone += 1
    writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()
asyncio.run(main())
"""


@pytest.fixture
async def host(sandbox: AsyncSandbox) -> str:
    await start(sandbox, _STREAMS)
    return sandbox.get_host(8000)


@pytest.fixture
async def client(engine: RunningEngine, host: str) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Host": host}
    async with httpx.AsyncClient(base_url=engine.url, headers=headers, timeout=120) as made:
        yield made


async def counted(client: httpx.AsyncClient) -> tuple[int, int]:
    """Bytes that the server has poured, and clients it has lost."""
    poured, gone = (await client.get("/count")).text.split()
    return int(poured), int(gone)


async def steady(value: Callable[[], Awaitable[int]]) -> int:
    """A figure, when it has stopped to change."""
    seen = -1
    for _ in range(200):
        now = await value()
        if now == seen:
            return now
        seen = now
        await asyncio.sleep(0.3)
    raise AssertionError("it never stops")


def memory(engine: RunningEngine) -> int:
    return int(psutil.Process(engine.pid).memory_info().rss)


async def test_large_bodies_pass_both_ways_without_being_held(
    engine: RunningEngine, client: httpx.AsyncClient
) -> None:
    before = peak = memory(engine)
    size = 0
    async with client.stream("GET", f"/pour/{_SIZE // _MB}") as answer:
        async for part in answer.aiter_raw(_MB):
            size += len(part)
            peak = max(peak, memory(engine))
    assert size == _SIZE
    digest = hashlib.sha256()

    async def parts() -> AsyncIterator[bytes]:
        nonlocal peak
        for number in range(_SIZE // _MB):
            part = number.to_bytes(4, "big") * (_MB // 4)
            digest.update(part)
            peak = max(peak, memory(engine))
            yield part

    told = await client.post("/drink", content=parts())
    assert told.text == f"{_SIZE} {digest.hexdigest()}"
    assert peak - before < 40 * _MB


async def test_a_client_that_does_not_read_stops_the_server_and_nobody_else(
    engine: RunningEngine, client: httpx.AsyncClient, host: str
) -> None:
    before = memory(engine)
    stuck = await Talk.begin(engine.port)
    stuck.reader._limit = 1024  # type: ignore[attr-defined]  # reads no more than it has to
    stuck.send(host, f"/pour/{_SIZE // _MB}")

    async def poured() -> int:
        return (await counted(client))[0]

    assert await steady(poured) < 60 * _MB  # what the kernel's buffers take
    assert memory(engine) - before < 20 * _MB
    async with client.stream("GET", "/pour/10") as answer:
        assert len(await answer.aread()) == 10 * _MB
    stuck.writer.transport.abort()
    for _ in range(400):
        if (await counted(client))[1] == 1:
            break
        await asyncio.sleep(0.02)
    assert (await counted(client))[1] == 1, "the client's end is the server's"


async def unread(engine: RunningEngine, client: httpx.AsyncClient, host: str) -> tuple[Talk, int]:
    """A client that has been answered more than it takes, and how many pieces it asked for."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", engine.port))
    talk = Talk(*await asyncio.open_connection(sock=sock, limit=1024))

    async def poured() -> int:
        return (await counted(client))[0]

    async def rises(before: int) -> bool:
        for _ in range(30):
            if await poured() > before:
                return True
            await asyncio.sleep(0.02)
        return False

    pieces, passed = 0, True
    while passed and pieces < 120:
        before = await poured()
        talk.send(host, "/piece")
        pieces += 1
        passed = await rises(before)
    return talk, pieces


async def test_who_has_not_read_one_answer_is_not_sent_the_next(
    engine: RunningEngine, client: httpx.AsyncClient, host: str
) -> None:
    before = memory(engine)
    talk, pieces = await unread(engine, client, host)
    begun = (await counted(client))[0]
    talk.send(host, f"/pour/{_SIZE // _MB}")

    async def poured() -> int:
        return (await counted(client))[0] - begun

    assert await steady(poured) < 60 * _MB
    assert memory(engine) - before < 20 * _MB
    for _ in range(pieces):
        assert (await talk.hear()).body == b"p" * 60_000
    assert (await talk.hear_head()).header("content-length") == str(_SIZE)
    talk.writer.transport.abort()


async def test_a_tunnel_begins_no_faster_than_its_client_reads(
    engine: RunningEngine, client: httpx.AsyncClient, host: str
) -> None:
    before = memory(engine)
    talk, _ = await unread(engine, client, host)
    begun = (await counted(client))[0]
    upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: a")
    talk.send(host, "/tunnel", *upgrade)

    async def poured() -> int:
        return (await counted(client))[0] - begun

    assert await steady(poured) < 60 * _MB
    assert memory(engine) - before < 20 * _MB
    talk.writer.transport.abort()


async def test_who_does_not_read_what_the_engine_itself_answers_is_not_heard(
    engine: RunningEngine, client: httpx.AsyncClient
) -> None:
    before = memory(engine)
    talk = await Talk.begin(engine.port)
    talk.reader._limit = 1024  # type: ignore[attr-defined]  # reads no more than it has to
    asked = 0

    async def ask() -> None:
        nonlocal asked
        while asked < 100_000:
            for _ in range(100):
                talk.send("8000-i123.localhost", "/", "Accept: text/html", "X: " + "x" * 1000)
            await talk.writer.drain()
            asked += 100

    async def how_many() -> int:
        return asked

    asking = asyncio.create_task(ask())
    await steady(how_many)
    assert not asking.done()
    assert memory(engine) - before < 20 * _MB
    assert (await client.get("/count")).status_code == 200
    asking.cancel()
    talk.writer.transport.abort()


async def test_a_server_that_does_not_read_stops_its_client(
    engine: RunningEngine, client: httpx.AsyncClient, host: str
) -> None:
    before = memory(engine)
    talk = await Talk.begin(engine.port)
    talk.send(host, "/deaf", f"Content-Length: {_SIZE}", method="POST")
    sent = 0

    async def pour() -> None:
        nonlocal sent
        while sent < _SIZE:
            talk.writer.write(b"x" * 65536)
            await talk.writer.drain()
            sent += 65536

    async def how_much() -> int:
        return sent

    pouring = asyncio.create_task(pour())
    assert await steady(how_much) < 60 * _MB
    assert memory(engine) - before < 20 * _MB
    assert (await client.get("/count")).status_code == 200
    pouring.cancel()
    talk.writer.transport.abort()


@pytest.mark.parametrize("path", ["/refuse", "/slam"])
async def test_an_answer_may_come_before_the_request_is_whole(
    engine: RunningEngine, host: str, path: str
) -> None:
    talk = await Talk.begin(engine.port)
    talk.send(host, path, "Content-Length: 1000000", method="POST", body=b"x" * 1000)
    heard = await talk.hear()
    assert (heard.status, heard.body) == (413, b"no!")
    talk.writer.write(b"x" * 999_000)  # what is left of it is no request
    await talk.writer.drain()
    assert (await talk.get(host, "/count")).status == 200
    await talk.close()


async def test_both_bodies_can_be_under_way_at_once(engine: RunningEngine, host: str) -> None:
    talk = await Talk.begin(engine.port)
    talk.send(host, "/mirror", "Transfer-Encoding: chunked", method="POST")
    assert (await talk.hear_head()).status == 200
    for number in range(20):
        said = b"%x\r\n" % len(b"turn %d" % number) + b"turn %d\r\n" % number
        talk.writer.write(said)
        assert await talk.reader.readexactly(len(said)) == said
    talk.writer.write(b"0\r\n\r\n")
    assert await talk.reader.readexactly(5) == b"0\r\n\r\n"
    assert (await talk.get(host, "/count")).status == 200
    await talk.close()


async def test_a_client_that_leaves_in_the_middle_of_its_request_takes_it_along(
    engine: RunningEngine, client: httpx.AsyncClient, host: str
) -> None:
    talk = await Talk.begin(engine.port)
    talk.send(host, "/mirror", "Transfer-Encoding: chunked", method="POST")
    assert (await talk.hear_head()).status == 200
    await talk.close()
    for _ in range(400):
        if (await counted(client))[1] == 1:
            break
        await asyncio.sleep(0.02)
    assert (await counted(client))[1] == 1
