"""The preview server, over real HTTP."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.unit.sandbox.preview import Preview, running

PAGE = b"<!doctype html><html><body><h1>Hello</h1></body></html>"
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
TAG = re.compile(rb'<script src="/__sandwright/live\.js\?[0-9a-f]+" async></script>')


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Preview]:
    with running(tmp_path_factory.mktemp("preview")) as preview:
        yield preview


@pytest.fixture
def preview(tmp_path: Path) -> Iterator[Preview]:
    with running(tmp_path) as found:
        yield found


def test_an_empty_project_has_a_friendly_page(preview: Preview) -> None:
    answer = httpx.get(preview.url, headers=BROWSER)
    assert answer.status_code == 200
    assert "Nothing here yet" in answer.text
    assert TAG.search(answer.content)
    assert httpx.get(f"{preview.url}/x").status_code == 404


def test_a_project_without_a_front_page_lists_its_pages(preview: Preview) -> None:
    preview.put('a/"b" <c>&.html', PAGE)
    answer = httpx.get(preview.url)
    assert answer.status_code == 200
    assert (
        '<a href="/a/%22b%22%20%3Cc%3E%26.html">a/&quot;b&quot; &lt;c&gt;&amp;.html</a>'
        in answer.text
    )
    assert httpx.get(f"{preview.url}/a/%22b%22%20%3Cc%3E%26.html").content == PAGE


def test_only_browsers_get_the_script_and_the_file_stays_as_it_is(shared: Preview) -> None:
    shared.put("index.html", PAGE)
    assert httpx.get(shared.url).content == PAGE
    shown = httpx.get(shared.url, headers=BROWSER)
    assert TAG.sub(b"TAG", shown.content) == PAGE.replace(b"</body>", b"TAG</body>")
    assert shown.headers["etag"] != httpx.get(shared.url).headers["etag"]
    assert shown.headers["vary"] == "Accept"
    assert (shared.folder / "index.html").read_bytes() == PAGE
    live = httpx.get(f"{shared.url}/__sandwright/live.js")
    assert live.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "EventSource" in live.text


@pytest.mark.parametrize(
    ("page", "shown"),
    [
        (b"<p>bare", b"<p>bareTAG"),
        (b"<html>x</HTML>", b"<html>xTAG</HTML>"),
        (b"<BODY>x</BODY >", b"<BODY>xTAG</BODY >"),
        (b"\xff\xfe<\x00p\x00", b"\xff\xfe<\x00p\x00"),
        (b"", b"TAG"),
    ],
)
def test_the_script_goes_to_the_end_of_any_page(shared: Preview, page: bytes, shown: bytes) -> None:
    shared.put("page.html", page)
    got = httpx.get(f"{shared.url}/page.html", headers=BROWSER).content
    assert TAG.sub(b"TAG", got) == shown


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.mjs", "text/javascript; charset=utf-8"),
        ("a.CSS", "text/css; charset=utf-8"),
        ("a.svg", "image/svg+xml"),
        ("a.woff2", "font/woff2"),
        ("a.webp", "image/webp"),
        ("a.json", "application/json"),
        ("a.webmanifest", "application/manifest+json"),
        ("a.wasm", "application/wasm"),
        ("noending", "application/octet-stream"),
    ],
)
def test_types_are_right(shared: Preview, name: str, kind: str) -> None:
    shared.put(name, b"x")
    answer = httpx.get(f"{shared.url}/{name}")
    assert answer.headers["content-type"] == kind
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_folders_show_their_index_and_need_a_slash(shared: Preview) -> None:
    shared.put("sub/index.html", PAGE)
    assert httpx.get(f"{shared.url}/sub/").content == PAGE
    moved = httpx.get(f"{shared.url}/sub")
    assert (moved.status_code, moved.headers["location"]) == (301, "/sub/")
    elsewhere = shared.raw(b"GET //sub HTTP/1.0\r\n\r\n")
    assert b"Location: /sub/" in elsewhere
    (shared.folder / "empty").mkdir(exist_ok=True)
    assert httpx.get(f"{shared.url}/empty/").status_code == 404


def test_a_known_version_is_not_sent_again(shared: Preview) -> None:
    shared.put("site.css", b"one")
    first = httpx.get(f"{shared.url}/site.css")
    tag = first.headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = httpx.get(f"{shared.url}/site.css", headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
    shared.put("site.css", b"two")
    changed = httpx.get(f"{shared.url}/site.css", headers={"If-None-Match": tag})
    assert (changed.status_code, changed.content) == (200, b"two")


@pytest.mark.parametrize(
    ("wanted", "status", "content"),
    [
        ("bytes=0-3", 206, b"0123"),
        ("bytes=8-", 206, b"89"),
        ("bytes=-3", 206, b"789"),
        ("bytes=5-100", 206, b"56789"),
        ("bytes=0-", 200, b"0123456789"),
        ("bytes=-100", 200, b"0123456789"),
        ("bytes=0-1,3-4", 200, b"0123456789"),
        ("bytes=4-2", 200, b"0123456789"),
        ("bytes=-", 200, b"0123456789"),
        ("lines=0-1", 200, b"0123456789"),
        ("bytes=a-b", 200, b"0123456789"),
        ("bytes=10-", 416, b""),
        ("bytes=-0", 416, b""),
    ],
)
def test_single_ranges(shared: Preview, wanted: str, status: int, content: bytes) -> None:
    shared.put("digits.bin", b"0123456789")
    answer = httpx.get(f"{shared.url}/digits.bin", headers={"Range": wanted})
    assert (answer.status_code, answer.content) == (status, content)
    if status == 416:
        assert answer.headers["content-range"] == "bytes */10"


def test_a_range_of_an_older_version_is_the_whole_file(shared: Preview) -> None:
    shared.put("part.bin", b"0123456789")
    headers = {"Range": "bytes=0-3", "If-Range": '"older"'}
    assert httpx.get(f"{shared.url}/part.bin", headers=headers).status_code == 200


def test_head_has_everything_but_the_body(shared: Preview) -> None:
    shared.put("head.txt", b"12345")
    got, head = (httpx.request(m, f"{shared.url}/head.txt") for m in ("GET", "HEAD"))
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-length", "content-type", "etag", "last-modified"):
        assert head.headers[name] == got.headers[name]
    assert httpx.head(f"{shared.url}/nothing").status_code == 404


def test_writing_is_refused(shared: Preview) -> None:
    answer = httpx.post(shared.url, content=b"x" * 100_000)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "path",
    [
        b"/../secret.txt",
        b"/%2e%2e/secret.txt",
        b"/a/..%2f..%2fsecret.txt",
        b"/..%5csecret.txt",
        b"//etc/passwd",
        b"/%2Fetc/passwd",
        b"/link.txt",
        b"/linked/secret.txt",
        b"/a%00b",
        b"/%ff%fe",
        b"/%zz",
    ],
)
def test_nothing_outside_of_the_project_is_shown(shared: Preview, path: bytes) -> None:
    outside = shared.folder.parent / "outside"
    outside.mkdir(exist_ok=True)
    for place in (shared.folder.parent / "secret.txt", outside / "secret.txt"):
        place.write_text("secret")
    for link, target in (("link.txt", "../secret.txt"), ("linked", "../outside")):
        if not (shared.folder / link).is_symlink():
            (shared.folder / link).symlink_to(target)
    answer = shared.raw(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"secret" not in answer.replace(b"secret.txt", b"")
    assert b"root:" not in answer


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"400"),
        (b"GET http://other/ HTTP/1.1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000, b"431"),
    ],
)
def test_what_is_no_request_is_refused(
    shared: Preview, request_bytes: bytes, status: bytes
) -> None:
    assert shared.raw(request_bytes).startswith(b"HTTP/1.1 " + status)


def test_the_projects_own_page_for_what_is_missing(preview: Preview) -> None:
    preview.put("404.html", b"<p>own</p>")
    answer = httpx.get(f"{preview.url}/nothing")
    assert (answer.status_code, answer.content) == (404, b"<p>own</p>")


def test_one_connection_serves_many_requests(shared: Preview) -> None:
    shared.put("index.html", PAGE)
    both = b"GET / HTTP/1.1\r\n\r\nGET /none HTTP/1.1\r\nConnection: close\r\n\r\n"
    answer = shared.raw(both)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.count(b"HTTP/1.1 404 ") == 1


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


def test_listeners_hear_what_changed(preview: Preview) -> None:
    preview.put("index.html", PAGE)
    with httpx.stream("GET", f"{preview.url}/__sandwright/events", timeout=30) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        lines = answer.iter_lines()
        assert next(line for line in lines if line.startswith("event")) == "event: version"
        next(lines)
        preview.put('css/"\u00e9\U0001f600.css', b"x")
        told = next(line for line in lines if line.startswith("data"))
        assert '"paths":["css/\\u0022\\u00e9\\ud83d\\ude00.css"]' in told
        (preview.folder / "index.html").unlink()
        told = next(line for line in lines if line.startswith("data"))
        assert '"paths":["index.html"]' in told


def test_too_many_listeners_do_not_keep_pages_from_being_shown(preview: Preview) -> None:
    preview.put("index.html", PAGE)
    with ExitStack() as stack:
        for _ in range(64):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", preview.port)))
            client.sendall(b"GET /__sandwright/events HTTP/1.1\r\n\r\n")
            assert client.recv(12) == b"HTTP/1.1 200"
        assert httpx.get(f"{preview.url}/__sandwright/events").status_code == 503
        assert httpx.get(preview.url).content == PAGE
