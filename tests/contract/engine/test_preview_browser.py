"""A real browser on the pages of two sandboxes, which must not reach each other."""

from __future__ import annotations

import asyncio

import pytest
from e2b import AsyncSandbox
from playwright.async_api import Browser, Page, WebSocket

from tests.fixtures.engine import RunningEngine
from tests.fixtures.previews import start

pytestmark = pytest.mark.asyncio(loop_scope="session")

# A site with a secret and a WebSocket that sends back what it gets in upper case; with CORS for the
# same sandbox's port 8000 where it runs on another port.
_SITE = r"""
import asyncio, base64, hashlib, sys
PORT = int(sys.argv[1])
PAGE = b'''<!doctype html><title>Site</title><link rel="icon" href="data:,"><h1>It works</h1><script>
document.cookie = "of_script=1";
document.cookie = "of_all=1; Domain=localhost";
const socket = new WebSocket("ws://" + location.host + "/socket");
socket.onopen = () => socket.send("hello");
socket.onmessage = event => { document.body.append(event.data); };
</script>'''
async def serve(reader, writer):
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    names = dict(l.lower().split(": ", 1) for l in head.split("\r\n")[1:] if ": " in l)
    if "upgrade" in names:
        key = next(l[19:] for l in head.split("\r\n") if l.lower().startswith("sec-websocket-key: "))
        accept = base64.b64encode(hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        writer.write(b"HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        start = await reader.readexactly(6)
        text = bytes(b ^ start[2 + i % 4] for i, b in enumerate(await reader.readexactly(start[1] & 127)))
        writer.write(b"\x81" + bytes([len(text)]) + text.upper())
        await reader.read(-1)
    else:
        path = head.split(" ")[1]
        body = PAGE if path == "/" else (names.get("cookie", "") + " of %d" % PORT).encode()
        origin = names.get("origin", "")
        same = origin.split("-", 1)[-1] == names["host"].split("-", 1)[-1]
        allow = "Access-Control-Allow-Origin: %s\r\n" % origin if origin and same else ""
        writer.write((
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n"
            "Set-Cookie: wide=%d; Domain=localhost\r\n%s\r\n" % (len(body), PORT, allow)).encode() + body)
        await writer.drain()
    writer.close()
async def main():
    async with await asyncio.start_server(serve, "127.0.0.1", PORT) as server: await server.serve_forever()
asyncio.run(main())
"""

_FETCH = """async ([url, headers]) => {
  try { return await (await fetch(url, {headers})).text() } catch (error) { return "" + error }
}"""


async def fetched(page: Page, url: str, **headers: str) -> str:
    """What a script on the page gets to read."""
    return str(await page.evaluate(_FETCH, [url, headers]))


async def test_a_page_its_socket_and_its_second_port_work_and_nothing_of_a_neighbour_does(
    engine: RunningEngine, browser: Browser
) -> None:
    here, there = [await AsyncSandbox.create(timeout=120, **engine.sdk) for _ in range(2)]
    for sandbox, port in ((here, 8000), (here, 9000), (there, 8000)):
        await start(sandbox, _SITE, port)
    context = await browser.new_context()
    page = await context.new_page()
    sockets: list[WebSocket] = []
    page.on("websocket", lambda socket: sockets.append(socket))

    await page.goto(f"http://{there.get_host(8000)}/")
    await page.goto(f"http://{here.get_host(8000)}/")
    assert await page.inner_text("h1") == "It works"
    await page.get_by_text("HELLO").wait_for()
    assert [one.url for one in sockets][-1] == f"ws://{here.get_host(8000)}/socket"
    assert await fetched(page, f"http://{here.get_host(9000)}/x") == " of 9000"

    neighbour = f"http://{there.get_host(8000)}/x"
    assert "Failed to fetch" in await fetched(page, neighbour)
    assert "Failed to fetch" in await fetched(
        page, f"{engine.url}/x", **{"E2b-Sandbox-Id": there.sandbox_id, "E2b-Sandbox-Port": "8000"}
    )
    assert "Failed to fetch" in await fetched(
        page, f"http://localhost:{engine.port}/sandboxes", **{"X-API-Key": "any"}
    )
    told = await fetched(
        page, "/x", **{"E2b-Sandbox-Id": there.sandbox_id, "E2b-Sandbox-Port": "8000"}
    )
    assert told.endswith(" of 8000")
    cookies = {one["name"]: one["domain"] for one in await context.cookies(neighbour)}
    assert set(cookies.values()) == {there.get_host(8000).split(":")[0]}

    await here.kill()
    await page.reload()
    assert await page.inner_text("h1") == "Sandbox not found"
    await page.goto(f"http://{there.get_host(1234)}/")
    assert await page.inner_text("h1") == "Port 1234 is not open"
    # What the proxy says itself can be read by the scripts of others.
    assert '"code": 502' in await fetched(page, f"http://{there.get_host(5678)}/x")
    await context.close()
    await asyncio.gather(there.kill(), return_exceptions=True)
