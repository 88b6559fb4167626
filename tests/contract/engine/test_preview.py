"""The preview proxy: any port of a sandbox, by host name or by header."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
from collections.abc import AsyncIterator

import httpx
import pytest
from e2b import AsyncSandbox, SandboxException

from tests.fixtures.engine import RunningEngine

# Answers with what it was sent; /slow streams for ever; /cut stops in the middle of its body.
_SERVER = """
import hashlib, http.server, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *args): pass
    def answer(self, body, extra=()):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        for pair in extra: self.send_header(*pair)
        self.end_headers()
        if self.command != "HEAD": self.wfile.write(body)
    def do_GET(self):
        if self.path == "/slow":
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            try:
                for n in range(10**6):
                    self.wfile.write(b"data: %d\\n\\n" % n); self.wfile.flush(); time.sleep(0.02)
            except OSError:
                open("gone", "w").close()
            self.close_connection = True
        elif self.path == "/cut":
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"half"); self.close_connection = True
        elif self.path == "/big":
            self.answer(bytes(range(256)) * 40960)
        else:
            seen = "".join("%s: %s\\n" % pair for pair in self.headers.items())
            self.answer(("%s %s\\n%s" % (self.command, self.path, seen)).encode(),
                        [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-Own", "kept")])
    do_HEAD = do_DELETE = do_GET
    def do_POST(self):
        digest, size = hashlib.sha256(), 0
        if self.headers.get("Transfer-Encoding") == "chunked":
            while True:
                length = int(self.rfile.readline(), 16)
                data = self.rfile.read(length); self.rfile.readline()
                digest.update(data); size += length
                if not length: break
        else:
            left = int(self.headers["Content-Length"])
            while left:
                data = self.rfile.read(min(left, 65536))
                digest.update(data); size += len(data); left -= len(data)
        self.answer(b"%d %s" % (size, digest.hexdigest().encode()))
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""

_ECHO = """
import asyncio, base64, hashlib
async def serve(reader, writer):
    head = (await reader.readuntil(b"\\r\\n\\r\\n")).decode()
    open("head", "w").write(head)
    key = next(l.split(": ")[1] for l in head.split("\\r\\n") if l.lower().startswith("sec-websocket-key"))
    accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
    writer.write(b"HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
                 b"Sec-WebSocket-Accept: " + accept + b"\\r\\n\\r\\n")
    while data := await reader.read(65536):
        writer.write(data); await writer.drain()
    writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 9000)
    await server.serve_forever()
asyncio.run(main())
"""


async def serve(sandbox: AsyncSandbox, port: int = 8000) -> None:
    await sandbox.files.write("server.py", _SERVER)
    await sandbox.commands.run(f"exec python3 server.py {port}", background=True, timeout=0)


def browse(engine: RunningEngine, sandbox: AsyncSandbox, port: int = 8000) -> httpx.AsyncClient:
    host = {"Host": sandbox.get_host(port)}
    return httpx.AsyncClient(base_url=engine.url, headers=host, timeout=30)


async def test_a_server_is_reached_by_host_name_also_while_it_is_starting(
    engine: RunningEngine, sandbox: AsyncSandbox
) -> None:
    await serve(sandbox)
    async with browse(engine, sandbox) as client:
        answer = await client.get("/a%20path/?q=1&r=%2F")
    assert answer.status_code == 200
    assert answer.text.startswith("GET /a%20path/?q=1&r=%2F\n")
    assert f"host: {sandbox.get_host(8000)}" in answer.text.lower()
    assert answer.headers["x-own"] == "kept"
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]


async def test_a_server_can_be_shown_another_host(engine: RunningEngine) -> None:
    masked = await AsyncSandbox.create(
        timeout=60, network={"mask_request_host": "shop.example:${PORT}"}, **engine.sdk
    )
    await serve(masked, 4321)
    async with browse(engine, masked, 4321) as client:
        for _ in range(2):
            answer = await client.get("/")
            hosts = [line for line in answer.text.lower().splitlines() if line.startswith("host:")]
            assert hosts == ["host: shop.example:4321"]
    await masked.kill()
    with pytest.raises(SandboxException, match=r"network\.maskRequestHost: must be a host name"):
        await AsyncSandbox.create(network={"mask_request_host": "a\r\nb: c"}, **engine.sdk)


async def test_the_engines_own_headers_route_and_are_not_passed_on(
    engine: RunningEngine, sandbox: AsyncSandbox
) -> None:
    await serve(sandbox, 4321)
    headers = {"E2b-Sandbox-Id": sandbox.sandbox_id, "E2b-Sandbox-Port": "4321"}
    async with httpx.AsyncClient(base_url=engine.url, headers=headers) as client:
        answer = await client.get("/")
    assert answer.status_code == 200
    assert "e2b" not in answer.text.lower()


async def test_methods_bodies_and_large_answers_pass(
    engine: RunningEngine, sandbox: AsyncSandbox
) -> None:
    await serve(sandbox)
    data = os.urandom(5_000_000)
    expected = f"{len(data)} {hashlib.sha256(data).hexdigest()}"

    async def parts() -> AsyncIterator[bytes]:  # an upload without a length
        for at in range(0, len(data), 100_000):
            yield data[at : at + 100_000]

    async with browse(engine, sandbox) as client:
        assert (await client.post("/", content=data)).text == expected
        assert (await client.post("/", content=parts())).text == expected
        assert (await client.get("/big")).content == bytes(range(256)) * 40960
        head = await client.head("/big")
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(256 * 40960)
        assert (await client.delete("/thing")).text.startswith("DELETE /thing")


async def test_a_stream_arrives_as_it_is_made_and_ends_with_its_reader(
    engine: RunningEngine, sandbox: AsyncSandbox
) -> None:
    await serve(sandbox)
    async with browse(engine, sandbox) as client, client.stream("GET", "/slow") as answer:
        lines = answer.aiter_lines()
        seen = [await anext(lines) for _ in range(5)]
    assert seen == ["data: 0", "", "data: 1", "", "data: 2"]
    # The server inside learns that its reader has left.
    for _ in range(400):
        if await sandbox.files.exists("gone"):
            break
        await asyncio.sleep(0.02)
    assert await sandbox.files.exists("gone")


async def test_a_broken_answer_stays_broken(engine: RunningEngine, sandbox: AsyncSandbox) -> None:
    await serve(sandbox)
    async with browse(engine, sandbox) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/cut")
        assert (await client.get("/")).status_code == 200


async def test_a_closed_port_and_an_unknown_sandbox_are_the_vendors_502(
    engine: RunningEngine, sandbox: AsyncSandbox
) -> None:
    async with browse(engine, sandbox, 5555) as client:
        closed = await client.get("/")
        assert closed.status_code == 502
        assert closed.json() == {
            "sandboxId": sandbox.sandbox_id,
            "message": "The sandbox is running but port is not open",
            "port": 5555,
            "code": 502,
        }
        page = await client.get("/", headers={"Accept": "text/html,*/*"})
        assert page.status_code == 502
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "Port 5555 is not open" in page.text
        fetched = await client.get("/", headers={"Accept": "text/html", "Sec-Fetch-Mode": "cors"})
        assert fetched.json()["code"] == 502
        missing = await client.get("/", headers={"Host": "8000-i123.localhost"})
        assert missing.status_code == 502
        assert missing.json() == {
            "sandboxId": "i123",
            "message": "The sandbox was not found",
            "code": 502,
        }


async def test_a_host_name_wins_over_headers_that_name_another_sandbox(
    engine: RunningEngine, sandbox: AsyncSandbox
) -> None:
    other = await AsyncSandbox.create(timeout=60, **engine.sdk)
    await other.commands.run(
        "echo secret > index.html; exec python3 -m http.server 8000", background=True
    )
    headers = {"E2b-Sandbox-Id": other.sandbox_id, "E2b-Sandbox-Port": "8000"}
    async with browse(engine, sandbox) as client:
        answer = await client.get("/", headers=headers)
        assert answer.status_code == 502
        assert answer.json()["sandboxId"] == sandbox.sandbox_id
    await other.kill()


async def test_private_traffic_needs_its_token(engine: RunningEngine) -> None:
    sandbox = await AsyncSandbox.create(
        timeout=60, network={"allow_public_traffic": False}, **engine.sdk
    )
    await serve(sandbox)
    assert sandbox.traffic_access_token
    async with browse(engine, sandbox) as client:
        assert (await client.get("/")).status_code == 403
        wrong = await client.get("/", headers={"e2b-traffic-access-token": "no"})
        assert wrong.status_code == 403
        right = await client.get(
            "/", headers={"e2b-traffic-access-token": sandbox.traffic_access_token}
        )
        assert right.status_code == 200
        assert sandbox.traffic_access_token not in right.text
    await sandbox.kill()


async def handshake(
    engine: RunningEngine, host: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", engine.port)
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        f"GET /chat?x=1 HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: v1\r\n\r\n".encode()
    )
    return reader, writer, (await reader.readuntil(b"\r\n\r\n")).decode()


async def test_web_sockets_pass_through(engine: RunningEngine, sandbox: AsyncSandbox) -> None:
    await sandbox.files.write("echo.py", _ECHO)
    await sandbox.commands.run("exec python3 echo.py", background=True, timeout=0)
    reader, writer, answer = await handshake(engine, sandbox.get_host(9000))
    assert answer.startswith("HTTP/1.1 101")
    head = await sandbox.files.read("head")
    assert head.startswith("GET /chat?x=1 HTTP/1.1")
    assert "v1" in head
    data = os.urandom(2_000_000)

    async def send() -> None:
        for at in range(0, len(data), 50_000):
            writer.write(data[at : at + 50_000])
            await writer.drain()

    sending = asyncio.create_task(send())
    assert await reader.readexactly(len(data)) == data
    await sending
    await sandbox.kill()
    assert await reader.read() == b""  # the sandbox's end is the connection's
    writer.close()


async def test_web_sockets_to_nowhere_are_refused(
    engine: RunningEngine, sandbox: AsyncSandbox
) -> None:
    for host, status in (
        (sandbox.get_host(9999), "502"),
        ("8000-i123.localhost", "502"),
        (sandbox.get_host(49983), "404"),
        ("localhost", "401"),
    ):
        _, writer, answer = await handshake(engine, host)
        assert answer.startswith(f"HTTP/1.1 {status}")
        writer.close()
