"""WebSockets through the proxy: a real client, a real server, and both ends of trouble."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncIterator

import psutil
import pytest
from e2b import AsyncSandbox

from tests.fixtures.engine import RunningEngine
from tests.fixtures.previews import Heard, Talk, start

# A server in the small: /echo sends back what it gets, /silent says nothing, /bye closes with 4001,
# /early speaks before it is asked, /no refuses, /burst pours for ever. Frames are passed as they are.
_SERVER = r"""
import asyncio, base64, hashlib, sys
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
left = 0
async def serve(reader, writer):
    global left
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split(" ")[1]
        names = dict(l.lower().split(": ", 1) for l in head.split("\r\n")[1:] if ": " in l)
        if path in ("/no", "/count") or "sec-websocket-key" not in names:
            text = b"%d" % left if path == "/count" else head.encode()
            status = b"200 OK" if path == "/count" else b"403 Forbidden"
            writer.write(b"HTTP/1.1 %b\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b"
                         % (status, len(text), text))
            await writer.drain(); writer.close(); return
        key = next(l[19:] for l in head.split("\r\n") if l.lower().startswith("sec-websocket-key: "))
        accept = base64.b64encode(hashlib.sha1(key.encode() + MAGIC).digest())
        chosen = names.get("sec-websocket-protocol", "").split(", ")[-1].encode()
        lines = [b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", b"Connection: Upgrade",
                 b"Sec-WebSocket-Accept: " + accept,
                 b"X-Offered: " + names.get("sec-websocket-extensions", "").encode()]
        if chosen: lines.append(b"Sec-WebSocket-Protocol: " + chosen)
        greeting = b"\x82\x05hello" if path == "/early" else b""
        writer.write(b"\r\n".join([*lines, b"", b""]) + greeting)
        if path == "/bye": writer.write(b"\x88\x02" + (4001).to_bytes(2, "big"))
        while path == "/burst": writer.write(b"\x82\x7e\xff\xff" + b"b" * 65535); await writer.drain()
        while data := await reader.read(65536):
            if path == "/echo": writer.write(data); await writer.drain()
        left += 1
    except ConnectionError:
        left += 1
    writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), backlog=512)
    await server.serve_forever()
asyncio.run(main())
"""


@pytest.fixture
async def host(sandbox: AsyncSandbox) -> str:
    await start(sandbox, _SERVER, 9000)
    return sandbox.get_host(9000)


@pytest.fixture
async def talk(engine: RunningEngine) -> AsyncIterator[Talk]:
    made = await Talk.begin(engine.port)
    yield made
    await made.close()


async def shake(
    talk: Talk, host: str, path: str = "/echo", *headers: str, more: bytes = b""
) -> Heard:
    key = base64.b64encode(os.urandom(16)).decode()
    talk.send(
        host,
        path,
        "Upgrade: websocket",
        "Connection: keep-alive, Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
        *headers,
        body=more,
    )
    return await talk.hear()


def frame(payload: bytes, opcode: int = 2) -> bytes:
    """A client's frame, masked with zeros so that an echo is easy to compare."""
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 65536:
        length = b"\xfe" + size.to_bytes(2, "big")
    else:
        length = b"\xff" + size.to_bytes(8, "big")
    return bytes([0x80 | opcode]) + length + b"\0\0\0\0" + payload


async def echoed(talk: Talk, data: bytes) -> None:
    async def send() -> None:
        for at in range(0, len(data), 65536):
            talk.writer.write(data[at : at + 65536])
            await talk.writer.drain()

    sending = asyncio.create_task(send())
    assert await talk.reader.readexactly(len(data)) == data
    await sending


async def test_what_the_two_ends_agree_on_is_theirs(talk: Talk, host: str) -> None:
    offers = (
        "Sec-WebSocket-Protocol: chat, superchat",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
    )
    heard = await shake(talk, host, "/echo", *offers)
    assert heard.status == 101
    assert heard.header("sec-websocket-protocol") == "superchat"
    assert heard.header("x-offered") == "permessage-deflate; client_max_window_bits"
    assert heard.header("upgrade") == "websocket"
    for opcode, payload in ((1, b"text"), (9, b"ping"), (10, b"pong"), (2, b"\xc1 deflated")):
        await echoed(talk, frame(payload, opcode))


async def test_large_messages_pass_whole(talk: Talk, host: str) -> None:
    assert (await shake(talk, host)).status == 101
    await echoed(talk, frame(os.urandom(10 * 1024 * 1024)))


async def test_what_is_said_before_the_other_end_is_there_is_not_lost(
    talk: Talk, host: str
) -> None:
    said = frame(b"impatient") * 3
    assert (await shake(talk, host, more=said)).status == 101
    assert await talk.reader.readexactly(len(said)) == said


async def test_what_the_server_says_at_once_arrives(talk: Talk, host: str) -> None:
    assert (await shake(talk, host, "/early")).status == 101
    assert await talk.reader.readexactly(7) == b"\x82\x05hello"


async def test_a_close_and_its_code_pass(talk: Talk, host: str) -> None:
    assert (await shake(talk, host, "/bye")).status == 101
    assert await talk.reader.readexactly(4) == b"\x88\x02" + (4001).to_bytes(2, "big")
    talk.writer.write(frame((4001).to_bytes(2, "big"), 8))
    talk.writer.write_eof()
    assert await talk.ended() == b""


@pytest.mark.parametrize("path", ["/no", "/count"])
async def test_a_servers_refusal_is_told_to_the_client(talk: Talk, host: str, path: str) -> None:
    heard = await shake(talk, host, path)
    assert heard.status == (403 if path == "/no" else 200)
    assert heard.header("connection") == "close"
    assert await talk.ended() == b""


async def test_two_hundred_at_once(engine: RunningEngine, host: str) -> None:
    talks = [await Talk.begin(engine.port) for _ in range(200)]
    heard = await asyncio.gather(*(shake(talk, host) for talk in talks))
    assert {one.status for one in heard} == {101}
    await asyncio.gather(*(echoed(talk, frame(b"%d" % at)) for at, talk in enumerate(talks)))
    for talk in talks:
        await talk.close()


async def test_a_client_that_vanishes_is_told_to_the_server(
    engine: RunningEngine, talk: Talk, host: str
) -> None:
    for path in ("/silent", "/burst"):
        gone = await Talk.begin(engine.port)
        assert (await shake(gone, host, path)).status == 101
        gone.writer.transport.abort()
    for _ in range(400):
        if (await talk.get(host, "/count")).body == b"2":
            break
        await asyncio.sleep(0.02)
    assert (await talk.get(host, "/count")).body == b"2"


@pytest.mark.parametrize("how", ["kill", "pause"])
async def test_the_sandboxs_end_or_pause_is_the_connections(
    sandbox: AsyncSandbox, talk: Talk, host: str, how: str
) -> None:
    assert (await shake(talk, host, "/silent")).status == 101
    await (sandbox.kill() if how == "kill" else sandbox.pause())
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await asyncio.wait_for(talk.reader.readexactly(1), 20)


async def test_a_client_that_does_not_read_stops_its_server_and_nobody_else(
    engine: RunningEngine, talk: Talk, host: str
) -> None:
    before = psutil.Process(engine.pid).memory_info().rss
    stuck = await Talk.begin(engine.port)
    stuck.reader._limit = 1024  # type: ignore[attr-defined]  # reads no more than it has to
    assert (await shake(stuck, host, "/burst")).status == 101
    assert (await shake(talk, host)).status == 101
    for _ in range(50):
        await echoed(talk, frame(b"x" * 10_000))
    assert psutil.Process(engine.pid).memory_info().rss - before < 20 * 1024 * 1024
    stuck.writer.transport.abort()


async def test_a_handshake_needs_the_token_and_hears_why(engine: RunningEngine, talk: Talk) -> None:
    private = await AsyncSandbox.create(
        timeout=60, network={"allow_public_traffic": False}, **engine.sdk
    )
    await start(private, _SERVER, 9000)
    refusal = await shake(talk, private.get_host(9000))
    assert (refusal.status, refusal.json()["code"]) == (403, 403)
    other = await Talk.begin(engine.port)
    token = f"e2b-traffic-access-token: {private.traffic_access_token}"
    assert (await shake(other, private.get_host(9000), "/echo", token)).status == 101
    await echoed(other, frame(b"hello"))
    await other.close()
    await private.kill()


async def test_a_handshake_to_nobody_hears_the_vendors_words(
    engine: RunningEngine, sandbox: AsyncSandbox
) -> None:
    for host, message in (
        (sandbox.get_host(9999), "The sandbox is running but port is not open"),
        ("8000-i123.localhost", "The sandbox was not found"),
    ):
        talk = await Talk.begin(engine.port)
        heard = await shake(talk, host, "/echo", "Sec-Fetch-Mode: websocket", "User-Agent: Mozilla")
        assert (heard.status, heard.json()["message"]) == (502, message)
        await talk.close()


async def test_a_handshake_that_is_none_is_an_ordinary_request(talk: Talk, host: str) -> None:
    for changed in (
        ("Upgrade: websocket", "Connection: Upgrade", "Content-Length: 2"),
        ("Upgrade: other", "Connection: Upgrade"),
        ("Upgrade: websocket", "Connection: keep-alive"),
    ):
        body = b"hi" if len(changed) == 3 else b""
        talk.send(host, "/no", *changed, body=body)
        heard = await talk.hear()
        assert heard.status == 403
        assert "upgrade" not in heard.body.decode().lower()
