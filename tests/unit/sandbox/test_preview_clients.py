"""The preview server with clients that are many, slow, gone, or that get HTTP wrong."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack

import httpx
import pytest

from kit.testing import eventually_sync
from tests.unit.sandbox.preview import Preview

PAGE = b"<!doctype html><html><body><h1>Hello</h1></body></html>"
EVENTS = b"GET /__sandwright/events HTTP/1.1\r\n\r\n"


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nspace : x\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n folded: x\r\n\r\n", b"400"),
        (b"GET / HTTP/2.0\r\n\r\n", b"400"),
        (b"GET other HTTP/1.1\r\n\r\n", b"400"),
        (b"GET ftp://other/ HTTP/1.1\r\n\r\n", b"400"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400"),
        (b"OPTIONS * HTTP/1.1\r\n\r\n", b"405"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000, b"431"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000 + b"\r\n\r\n", b"431"),
        (b"GET /" + b"x" * 40_000, b"431"),
    ],
)
def test_what_is_no_request_is_refused(
    shared: Preview, request_bytes: bytes, status: bytes
) -> None:
    answer = shared.raw(request_bytes)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"Traceback" not in answer


@pytest.mark.parametrize(
    "request_line", [b"GET http://other:1/x/ HTTP/1.1", b"\r\n\r\nGET /x/ HTTP/1.1"]
)
def test_what_is_odd_but_allowed_is_answered(shared: Preview, request_line: bytes) -> None:
    shared.put("x/index.html", PAGE)
    answer = shared.raw(request_line + b"\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(PAGE)


def test_writing_is_refused_and_the_answer_arrives(shared: Preview) -> None:
    answer = httpx.post(shared.url, content=b"x" * 1_000_000)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert "read, not written to" in answer.text


def test_one_connection_serves_many_requests(shared: Preview) -> None:
    shared.put("index.html", PAGE)
    many = b"GET / HTTP/1.1\r\n\r\n" * 20
    answer = shared.raw(many + b"GET /none HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200 ") == 20
    assert answer.count(b"HTTP/1.1 404 ") == 1


def test_a_head_that_comes_in_pieces_is_put_together(shared: Preview) -> None:
    shared.put("index.html", PAGE)
    with socket.create_connection(("127.0.0.1", shared.port), timeout=10) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n":
            client.sendall(bytes([byte]))
        answer = b""
        while more := client.recv(65536):
            answer += more
    assert answer.endswith(PAGE)


def test_who_only_keeps_a_connection_makes_room_for_others(preview: Preview) -> None:
    preview.put("index.html", PAGE)
    with ExitStack() as stack:
        idle = []
        for _ in range(200):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", preview.port)))
            client.settimeout(20)
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert client.recv(12) == b"HTTP/1.1 200"
            idle.append(client)
        assert httpx.get(preview.url).content == PAGE


def test_many_clients_at_once(shared: Preview) -> None:
    shared.put("index.html", PAGE)
    got: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: got.append(httpx.get(shared.url).content))
        for _ in range(40)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [PAGE] * 40


def test_a_client_that_reads_nothing_keeps_nobody_else_waiting(shared: Preview) -> None:
    shared.put("large.bin", b"x" * 20_000_000)
    shared.put("index.html", PAGE)
    with ExitStack() as stack:
        for _ in range(20):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", shared.port)))
            client.sendall(b"GET /large.bin HTTP/1.1\r\n\r\n")
        assert httpx.get(shared.url).content == PAGE


def test_too_many_listeners_do_not_keep_pages_from_being_shown(preview: Preview) -> None:
    preview.put("index.html", PAGE)
    with ExitStack() as stack:
        for _ in range(64):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", preview.port)))
            client.sendall(EVENTS)
            assert client.recv(12) == b"HTTP/1.1 200"
        assert httpx.get(f"{preview.url}/__sandwright/events").status_code == 503
        assert httpx.get(preview.url).content == PAGE

    def room_again() -> bool:
        with socket.create_connection(("127.0.0.1", preview.port), timeout=10) as client:
            client.sendall(EVENTS)
            return client.recv(12) == b"HTTP/1.1 200"

    # A listener that left is noticed, though nothing changes.
    eventually_sync(room_again, seconds=5)


def test_what_vanishes_while_it_is_asked_for_is_missing(preview: Preview) -> None:
    preview.put("flicker.txt", b"x")
    done = threading.Event()

    def flicker() -> None:
        while not done.is_set():
            (preview.folder / "flicker.txt").unlink(missing_ok=True)
            preview.put("flicker.txt", b"x")

    thread = threading.Thread(target=flicker)
    thread.start()
    try:
        with httpx.Client(base_url=preview.url) as client:
            seen = {client.get("/flicker.txt").status_code for _ in range(200)}
    finally:
        done.set()
        thread.join()
    assert seen <= {200, 404}
