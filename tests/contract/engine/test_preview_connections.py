"""Connections to servers inside: kept, never mixed up, and not asked for more often than needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import psutil
import pytest
from e2b import AsyncSandbox

from tests.fixtures.engine import RunningEngine
from tests.fixtures.previews import Talk, obey, say, start

# Serves one connection at a time, for as long as it stays open.
_ONE_BY_ONE = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *args): pass
    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200); self.send_header("Content-Length", "2"); self.end_headers()
        self.wfile.write(b"ok")
    do_POST = do_GET
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""

# Its queue of connections is the shortest there is, and it is in no hurry.
_SHORT_QUEUE = """
import socket, sys, threading, time
listener = socket.socket(); listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", int(sys.argv[1]))); listener.listen(0)
def serve(connection):
    while connection.recv(65536):
        connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
while True:
    connection, _ = listener.accept(); time.sleep(0.02)
    threading.Thread(target=serve, args=(connection,), daemon=True).start()
"""


@pytest.fixture
async def server(sandbox: AsyncSandbox) -> str:
    """The host of a server that does as it is told."""
    await obey(sandbox)
    return sandbox.get_host(8000)


@pytest.fixture
async def talk(engine: RunningEngine) -> AsyncIterator[Talk]:
    made = await Talk.begin(engine.port)
    yield made
    await made.close()


async def test_one_connection_serves_request_after_request_of_many_clients(
    engine: RunningEngine, server: str
) -> None:
    seen = []
    for _ in range(5):
        talk = await Talk.begin(engine.port)
        seen.append((await talk.get(server, "/")).json())
        await talk.close()
    assert [one["asked"] for one in seen] == [1, 2, 3, 4, 5]
    assert len({one["connection"] for one in seen}) == 1


async def test_an_idle_connection_is_given_up_after_a_while(
    engine: RunningEngine, sandbox: AsyncSandbox, talk: Talk, server: str
) -> None:
    await talk.get(server, "/")
    open_ones = "grep -c ' 01 ' /proc/net/tcp || true"  # 01 is ESTABLISHED
    for _ in range(100):
        if (await sandbox.commands.run(open_ones)).stdout.strip() == "0":
            break
        await asyncio.sleep(0.1)
    assert (await sandbox.commands.run(open_ones)).stdout.strip() == "0"
    told = (await talk.get(server, "/")).json()
    assert (told["connection"], told["asked"]) == (2, 1)


async def test_what_may_not_be_sent_twice_gets_a_connection_of_its_own(
    talk: Talk, server: str
) -> None:
    assert (await talk.get(server, "/")).json()["asked"] == 1
    assert (await talk.get(server, "/", method="POST")).json()["asked"] == 1
    talk.send(server, "/", "Content-Length: 2", method="PUT", body=b"hi")
    assert (await talk.hear()).json()["asked"] == 1
    assert (await talk.get(server, "/")).json()["asked"] == 2, "which serves others afterwards"


async def test_a_kept_connection_that_the_server_has_closed_costs_nobody_an_answer(
    talk: Talk, server: str
) -> None:
    for number in range(20):  # it closes at about the time of the next request
        heard = await talk.get(server, f"/later/{number % 5}")
        assert heard.status == 200
        assert heard.json()["asked"] == 1


async def test_a_request_on_a_kept_connection_is_sent_again_once_when_nothing_was_heard(
    talk: Talk, server: str
) -> None:
    assert (await talk.get(server, "/refuse/1")).status == 200
    heard = await talk.get(server, "/again")
    assert heard.status == 200
    assert heard.json()["connection"] == 2
    assert (await talk.get(server, "/refuse/5")).status == 200
    assert (await talk.get(server, "/again")).status == 502, "twice refused is refused"


async def test_what_may_not_be_sent_twice_is_not(talk: Talk, server: str) -> None:
    assert (await talk.get(server, "/refuse/1")).status == 200
    assert (await talk.get(server, "/once", method="POST")).status == 502
    assert (await talk.get(server, "/")).status == 200


async def test_half_an_answer_on_a_kept_connection_is_no_reason_to_ask_again(
    engine: RunningEngine, talk: Talk, server: str
) -> None:
    await talk.get(server, "/")
    heard = await talk.get(server, say(b"HTTP/1.1 20", "say-close"))
    assert heard.status == 502


async def test_connections_of_a_killed_or_paused_sandbox_are_dropped(
    engine: RunningEngine, sandbox: AsyncSandbox, talk: Talk, server: str
) -> None:
    assert (await talk.get(server, "/")).json()["connection"] == 1
    await sandbox.pause()
    assert (await talk.get(server, "/")).status == 502
    open_ones = psutil.Process(engine.pid).num_fds
    with_it = open_ones()
    for _ in range(200):
        if open_ones() < with_it:
            break
        await asyncio.sleep(0.02)
    await sandbox.connect(timeout=60)
    assert (await talk.get(server, "/")).json()["connection"] == 2
    await sandbox.kill()
    gone = await talk.get(server, "/")
    assert (gone.status, gone.json()["message"]) == (502, "The sandbox was not found")


async def test_a_request_under_way_ends_when_its_sandbox_is_paused(
    engine: RunningEngine, sandbox: AsyncSandbox, talk: Talk, server: str
) -> None:
    talk.send(server, say(b""))
    for _ in range(200):
        if (await sandbox.commands.run("grep -c ' 01 ' /proc/net/tcp || true")).stdout != "0\n":
            break
    await sandbox.pause()
    heard = await asyncio.wait_for(talk.hear(), 20)
    assert (heard.status, heard.json()["message"]) == (502, "The sandbox was not found")


async def test_a_stream_of_a_killed_sandbox_does_not_end_as_if_it_were_whole(
    sandbox: AsyncSandbox, talk: Talk, server: str
) -> None:
    talk.send(server, say(b"HTTP/1.1 200 OK\r\n\r\nuntil the end"))
    assert (await talk.hear_head()).status == 200
    assert b"until the end" in await talk.reader.readuntil(b"until the end\r\n")
    await sandbox.kill()
    assert b"0\r\n\r\n" not in await talk.ended()


async def test_connections_are_never_shared_between_sandboxes(engine: RunningEngine) -> None:
    boxes = [await AsyncSandbox.create(timeout=60, **engine.sdk) for _ in range(2)]
    talk = await Talk.begin(engine.port)
    for box in boxes:
        await obey(box)
        await obey(box, 9000)
    for turn in range(1, 4):
        for box in boxes:
            for port in (8000, 9000):
                told = (await talk.get(box.get_host(port), "/")).json()
                assert (told["connection"], told["asked"]) == (1, turn)
                assert f"host: {box.get_host(port)}" in told["head"]
    await talk.close()
    for box in boxes:
        await box.kill()


async def test_a_server_that_serves_one_connection_at_a_time_serves_all(
    engine: RunningEngine, sandbox: AsyncSandbox
) -> None:
    await start(sandbox, _ONE_BY_ONE)
    headers = {"Host": sandbox.get_host(8000)}
    async with httpx.AsyncClient(base_url=engine.url, headers=headers, timeout=30) as client:
        for _ in range(3):
            answers = await asyncio.gather(*(client.get("/") for _ in range(8)))
            assert [one.status_code for one in answers] == [200] * 8
            assert (await client.post("/", content=b"x")).text == "ok"


async def test_a_burst_is_served_by_a_server_with_a_short_queue(
    engine: RunningEngine, sandbox: AsyncSandbox
) -> None:
    await start(sandbox, _SHORT_QUEUE)
    talks = [await Talk.begin(engine.port) for _ in range(40)]
    heard = await asyncio.gather(*(talk.get(sandbox.get_host(8000), "/") for talk in talks))
    assert [one.body for one in heard] == [b"ok"] * 40
    for talk in talks:
        await talk.close()


async def test_a_burst_to_a_server_that_is_starting_waits_for_it(
    engine: RunningEngine, sandbox: AsyncSandbox
) -> None:
    talks = [await Talk.begin(engine.port) for _ in range(100)]
    await obey(sandbox)
    heard = await asyncio.gather(*(talk.get(sandbox.get_host(8000), "/") for talk in talks))
    assert [one.status for one in heard] == [200] * 100
    for talk in talks:
        await talk.close()


async def test_a_burst_to_a_closed_port_is_answered_and_leaves_the_sandbox_at_ease(
    engine: RunningEngine, sandbox: AsyncSandbox
) -> None:
    await sandbox.commands.run("sleep 60", background=True)  # somebody may open the port yet
    talks = [await Talk.begin(engine.port) for _ in range(100)]
    asked = asyncio.gather(*(talk.get(sandbox.get_host(8000), "/") for talk in talks))
    assert (await sandbox.commands.run("echo quick")).stdout == "quick\n"
    assert {one.status for one in await asked} == {502}
    for talk in talks:
        await talk.close()
