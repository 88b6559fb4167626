"""The preview proxy between clients and servers that get HTTP wrong, or mean harm by it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from e2b import AsyncSandbox

from tests.fixtures.engine import RunningEngine
from tests.fixtures.previews import Talk, obey, say, say_for_ever

OK = b"HTTP/1.1 200 OK\r\n"


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


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"garbage\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 999 High\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
        OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        OK + b"Content-Length: 2, 2\r\n\r\nab",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: 99999999999999999999999\r\n\r\n",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: identity\r\n\r\nab",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"X: a\x00b\r\nContent-Length: 0\r\n\r\n",
        OK + b"X: a\rY: b\r\nContent-Length: 0\r\n\r\n",
        OK + b"X: a\r\n folded\r\nContent-Length: 0\r\n\r\n",
        OK + b"X Y: a\r\nContent-Length: 0\r\n\r\n",
        OK + b"Content-Length : 0\r\n\r\n",
    ],
    ids=repr,
)
async def test_what_is_no_http_or_can_be_read_in_two_ways_is_no_answer(
    talk: Talk, server: str, answer: bytes
) -> None:
    heard = await talk.get(server, say(answer, "say-close"))
    assert heard.status == 502
    assert heard.json()["message"] == "The sandbox is running but port is not open"
    assert (await talk.get(server, "/next")).status == 200  # the same client's connection goes on


@pytest.mark.parametrize(
    ("first", "again", "seen"),
    [
        (OK + b"X: ", b"a" * 9000, 502),
        (OK, b"X: a\r\n" * 900, 502),
        (b"HTTP/1.1 200 ", b"a" * 9000, 502),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100, 502),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: a\r\n" * 900, 200),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n1;", b"a" * 9000, 200),
    ],
    ids=["value", "headers", "reason", "informational", "trailers", "extension"],
)
async def test_what_never_becomes_a_body_is_cut_off(
    talk: Talk, server: str, first: bytes, again: bytes, seen: int
) -> None:
    talk.send(server, say_for_ever(first, again))
    heard = await talk.hear_head()
    assert heard.status == seen
    if seen == 200:
        assert b"0\r\n\r\n" not in await talk.ended()


@pytest.mark.parametrize(
    "broken",
    [
        OK + b"Content-Length: 10\r\n\r\nhalf",
        OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf!!",
        OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nfffffffffffffffff\r\n",
    ],
    ids=repr,
)
@pytest.mark.parametrize("kind", ["say-close", "say-reset"])
async def test_a_body_that_breaks_off_breaks_off_for_the_client_too(
    engine: RunningEngine, server: str, broken: bytes, kind: str
) -> None:
    # The head is told in one answer with what follows, so that a reset can't overtake it.
    talk = await Talk.begin(engine.port)
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await talk.get(server, say(broken, kind))
    await talk.close()


async def test_a_body_that_ends_with_its_connection_is_whole_unless_that_is_reset(
    engine: RunningEngine, talk: Talk, server: str
) -> None:
    heard = await talk.get(server, say(OK + b"X: 1\r\n\r\nall of it", "say-close"))
    assert heard.header("transfer-encoding") == "chunked"
    assert heard.body == b"all of it"
    other = await Talk.begin(engine.port)
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await other.get(server, say(OK + b"X: 1\r\n\r\nnot all", "say-reset"))
    await other.close()


@pytest.mark.parametrize(
    "more",
    [
        OK + b"Content-Length: 6\r\n\r\npoison",
        b"poison",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
)
@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Content-Length: 2\r\n\r\nok",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
    ],
    ids=["length", "chunked", "204", "304"],
)
async def test_what_follows_a_whole_answer_is_nobodys(
    talk: Talk, server: str, answer: bytes, more: bytes
) -> None:
    first = await talk.get(server, say(answer + more))
    assert first.body in (b"ok", b"")
    second = await talk.get(server, "/second")
    assert second.json()["head"].startswith("GET /second")
    assert second.json()["asked"] == 1, "on a connection of its own"


async def test_a_head_asked_for_alone_has_no_body_whatever_it_says(talk: Talk, server: str) -> None:
    for answer in (
        OK + b"Content-Length: 1000\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n",
        OK + b"Content-Length: 4\r\n\r\nbody",
    ):
        heard = await talk.get(server, say(answer), method="HEAD")
        assert heard.status == 200
        assert (await talk.get(server, "/next")).json()["head"].startswith("GET /next")


async def test_answers_without_a_body_have_none(talk: Talk, server: str) -> None:
    kept = b"HTTP/1.1 304 Not Modified\r\nETag: x\r\nContent-Length: 5\r\n\r\n"
    heard = await talk.get(server, say(kept))
    assert (heard.status, heard.header("etag"), heard.header("transfer-encoding")) == (
        304,
        "x",
        None,
    )
    heard = await talk.get(server, say(b"HTTP/1.1 204 No Content\r\n\r\n"))
    assert (heard.status, heard.header("transfer-encoding")) == (204, None)
    assert (await talk.get(server, "/next")).json()["asked"] == 3, "all on one connection"


async def test_status_reason_headers_and_their_order_are_kept(talk: Talk, server: str) -> None:
    answer = (
        b"HTTP/1.1 418 I'm a teapot\r\nB: 2\r\nA: 1\r\nB: 3\r\nEmpty:\r\nCaf: \xe9\r\n"
        b"Connection: X-Hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n"
        b"Proxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"
    )
    heard = await talk.get(server, say(answer))
    assert heard.head.startswith("HTTP/1.1 418 I'm a teapot\r\n")
    assert heard.headers == [
        ("b", "2"),
        ("a", "1"),
        ("b", "3"),
        ("empty", ""),
        ("caf", "\xe9"),
        ("content-length", "0"),
    ]


async def test_trailers_are_dropped(talk: Talk, server: str) -> None:
    answer = OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nSet-Cookie: a=1\r\n\r\n"
    heard = await talk.get(server, say(answer))
    assert heard.body == b"ok"
    assert "cookie" not in heard.head.lower()
    trailed = b"2\r\nok\r\n0\r\nHost: other\r\nX-Late: 1\r\n\r\n"
    talk.send(server, "/", "Transfer-Encoding: chunked", method="POST", body=trailed)
    asked = (await talk.hear()).json()
    assert asked["size"] == 2
    for name in ("x-late", "other"):
        assert name not in asked["head"].lower()


async def test_early_hints_pass_and_other_clients_are_not_confused_by_them(
    talk: Talk, server: str
) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
    talk.send(server, say(hints + OK + b"Content-Length: 2\r\n\r\nok"))
    early = await talk.hear()
    assert (early.status, early.header("link")) == (103, "</a.css>; rel=preload")
    assert (await talk.hear()).body == b"ok"
    path = say(hints + OK + b"X: 1\r\n\r\nold", "say-close")
    talk.writer.write(f"GET {path} HTTP/1.0\r\nHost: {server}\r\n\r\n".encode())
    heard = await talk.hear()
    assert (heard.status, heard.header("transfer-encoding"), heard.body) == (200, None, b"old")


async def test_a_client_that_asks_before_it_sends_hears_what_the_server_says(
    talk: Talk, server: str
) -> None:
    expect = ("Expect: 100-continue", "Content-Length: 5")
    accepted = b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nok"
    talk.send(server, say(accepted), *expect, method="POST")
    assert (await talk.hear()).status == 100
    talk.writer.write(b"hello")
    assert (await talk.hear()).body == b"ok"


async def test_a_client_that_is_refused_before_it_sends_need_not_send(
    talk: Talk, server: str
) -> None:
    refusal = b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n"
    talk.send(server, say(refusal), "Expect: 100-continue", "Content-Length: 5", method="POST")
    heard = await talk.hear()
    assert (heard.status, heard.header("connection")) == (417, "close")
    assert await talk.ended() == b"", "and its next request can't be taken for the body"


async def test_a_server_that_knows_no_100_gets_the_body_all_the_same(
    engine: RunningEngine, sandbox: AsyncSandbox, talk: Talk
) -> None:
    await sandbox.files.write(
        "old.py",
        "import http.server\n"
        "class H(http.server.BaseHTTPRequestHandler):\n"
        "    def do_POST(self):\n"
        "        body = self.rfile.read(int(self.headers['Content-Length']))\n"
        "        self.send_response(200); self.end_headers(); self.wfile.write(body)\n"
        "http.server.HTTPServer(('127.0.0.1', 8000), H).serve_forever()\n",
    )
    await sandbox.commands.run("exec python3 old.py", background=True, timeout=0)
    host = sandbox.get_host(8000)
    talk.send(host, "/", "Expect: 100-continue", "Content-Length: 5", method="POST")
    assert (await talk.hear()).status == 100
    talk.writer.write(b"hello")
    assert (await talk.hear()).body == b"hello"


HOST = "Host: {host}\r\n"


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n" + HOST * 2 + "\r\n", 400),
        ("GET / HTTP/1.1\r\n" + HOST + "Host: other\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: localhost\r\n" + HOST + "\r\n", 400),
        ("GET http://other/ HTTP/1.1\r\n" + HOST + "\r\n", 400),
        ("GET http://{host}@other/ HTTP/1.1\r\n" + HOST + "\r\n", 400),
        ("GET ftp://{host}/ HTTP/1.1\r\n" + HOST + "\r\n", 400),
        ("CONNECT other:80 HTTP/1.1\r\n" + HOST + "\r\n", 405),
        ("GET / HTTP/1.1\r\n" + HOST + "X: a\r\n folded\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n" + HOST + "X : a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n" + HOST + "X: a\0b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n" + HOST + "X: a\rb\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\n" + HOST + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\n" + HOST + "Content-Length: +1\r\n\r\na", 400),
        (
            "POST / HTTP/1.1\r\n"
            + HOST
            + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        ("POST / HTTP/1.1\r\n" + HOST + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (
            "POST / HTTP/1.1\r\n" + HOST + "Transfer-Encoding: chunked\r\n" * 2 + "\r\n0\r\n\r\n",
            400,
        ),
        ("POST / HTTP/1.0\r\n" + HOST + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n" + HOST + "E2b-Sandbox-Id: a\r\nE2b-Sandbox-Id: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n" + HOST + "X: " + "a" * 600_000 + "\r\n\r\n", 431),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    ],
    ids=lambda value: repr(value)[:50],
)
async def test_a_request_that_can_be_read_in_two_ways_reaches_nobody(
    talk: Talk, server: str, request_text: str, status: int
) -> None:
    talk.writer.write(request_text.replace("{host}", server).encode("latin-1"))
    heard = await talk.hear()
    assert heard.status == status, heard.body
    assert heard.header("connection") == "close"


async def test_a_whole_url_is_its_path(talk: Talk, server: str) -> None:
    heard = await talk.get(server, f"http://{server.upper()}/a?b=c")
    assert heard.json()["head"].startswith("GET /a?b=c HTTP/1.1")
    assert (await talk.get(server, "*", method="OPTIONS")).json()["head"].startswith("OPTIONS * ")


async def test_an_upgrade_to_anything_else_is_not_offered_to_the_server(
    talk: Talk, server: str
) -> None:
    headers = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
    talk.send(server, "/", *headers, "Content-Length: 5", method="POST", body=b"hello")
    asked = (await talk.hear()).json()
    assert asked["size"] == 5
    for name in ("upgrade", "http2-settings", "h2c"):
        assert name not in asked["head"].lower()
    assert (await talk.get(server, "/next")).status == 200


async def test_headers_of_one_connection_are_not_passed_on(talk: Talk, server: str) -> None:
    heard = await talk.get(
        server,
        "/",
        "Connection: keep-alive, X-Hop, Content-Length, Host",
        "X-Hop: 1",
        "TE: trailers",
        "Proxy-Authorization: Basic x",
        "Keep-Alive: 5",
        "E2b-Sandbox-Id: x",
        "E2b-Sandbox-Port: 1",
        "X-Kept: yes",
    )
    lines = heard.json()["head"].lower().split("\r\n")
    assert lines == ["get / http/1.1", f"host: {server}", "x-kept: yes", "", ""]


async def test_requests_sent_in_a_row_are_answered_in_a_row(talk: Talk, server: str) -> None:
    for number in range(5):
        talk.send(server, f"/{number}")
    talk.writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    talk.send(server, "/last")
    for number in range(5):
        assert (await talk.hear()).json()["head"].startswith(f"GET /{number} ")
    assert (await talk.hear()).status in (200, 204)
    assert (await talk.hear()).json()["head"].startswith("GET /last ")


async def test_a_thousand_requests_in_a_row_are_answered_in_order(talk: Talk, server: str) -> None:
    for number in range(1000):
        talk.send(server, f"/{number}")
    for number in range(1000):
        assert (await talk.hear()).json()["head"].startswith(f"GET /{number} ")


async def test_thousands_of_upgrades_in_a_row_are_as_many_plain_requests(
    engine: RunningEngine,
) -> None:
    logged = engine.log.stat().st_size
    reader, writer = await asyncio.open_connection("127.0.0.1", engine.port)
    writer.write(
        b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n" * 3000
        + b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    )
    answered = await asyncio.wait_for(reader.read(-1), 120)
    assert answered.count(b"HTTP/1.1 20") == 3001
    assert b"RecursionError" not in engine.log.read_bytes()[logged:]
    writer.close()


async def test_garbage_after_a_request_ends_the_connection_not_the_engine(
    engine: RunningEngine, talk: Talk, server: str
) -> None:
    talk.send(server, "/")
    assert json.loads((await talk.hear()).body)["size"] == 0
    talk.writer.write(b"\x00garbage\r\n\r\n")
    assert (await talk.hear()).status == 400
    assert await talk.ended() == b""
    other = await Talk.begin(engine.port)
    assert (await other.get(server, "/")).status == 200
    await other.close()
