"""The preview server's files, over real HTTP."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import httpx
import pytest

from services.sandbox import preview as server
from tests.unit.sandbox.preview import Preview

PAGE = b"<!doctype html><html><body><h1>Hello</h1></body></html>"


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
        ("a.vtt", "text/vtt; charset=utf-8"),
        ("a.mp4", "video/mp4"),
        ("css", "application/octet-stream"),
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
        ("bytes=99999999999999999999-", 416, b""),
        ("bytes=-99999999999999999999", 200, b"0123456789"),
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
    whole = httpx.get(f"{shared.url}/part.bin")
    for older in ('"older"', whole.headers["last-modified"]):
        headers = {"Range": "bytes=0-3", "If-Range": older}
        assert httpx.get(f"{shared.url}/part.bin", headers=headers).status_code == 200
    headers = {"Range": "bytes=0-3", "If-Range": whole.headers["etag"]}
    assert httpx.get(f"{shared.url}/part.bin", headers=headers).content == b"0123"


def test_a_date_tells_what_is_known_where_there_is_no_tag(shared: Preview) -> None:
    shared.put("dated.css", b"one")
    first = httpx.get(f"{shared.url}/dated.css")
    since = {"If-Modified-Since": first.headers["last-modified"]}
    again = httpx.get(f"{shared.url}/dated.css", headers=since)
    assert (again.status_code, again.content) == (304, b"")
    other = {"If-Modified-Since": "Mon, 01 Jan 2024 00:00:00 GMT"}
    assert httpx.get(f"{shared.url}/dated.css", headers=other).status_code == 200
    both = {**since, "If-None-Match": '"another"'}
    assert httpx.get(f"{shared.url}/dated.css", headers=both).status_code == 200


def test_a_large_file_is_streamed_whole_and_in_part(shared: Preview) -> None:
    data = bytes(range(256)) * 40_000
    shared.put("large.bin", data)
    shared.put("large.html", data)
    assert httpx.get(f"{shared.url}/large.bin").content == data
    part = httpx.get(f"{shared.url}/large.bin", headers={"Range": "bytes=5000000-5000009"})
    assert (part.status_code, part.content) == (206, data[5_000_000:5_000_010])
    # Too large to be held in memory for the script's sake.
    shown = httpx.get(f"{shared.url}/large.html", headers={"Accept": "text/html"})
    assert shown.content == data


def test_head_has_everything_but_the_body(shared: Preview) -> None:
    shared.put("head.txt", b"12345")
    got, head = (httpx.request(m, f"{shared.url}/head.txt") for m in ("GET", "HEAD"))
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-length", "content-type", "etag", "last-modified"):
        assert head.headers[name] == got.headers[name]
    assert httpx.head(f"{shared.url}/nothing").status_code == 404


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
        b"/.env",
        b"/.git/config",
        b"/sub/.hidden/secret.txt",
        b"/circle",
        b"/pipe",
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
    for hidden in (".env", ".git/config", "sub/.hidden/secret.txt"):
        shared.put(hidden, b"secret")
    if not (shared.folder / "pipe").exists():
        os.mkfifo(shared.folder / "pipe")
    links = (("link.txt", "../secret.txt"), ("linked", "../outside"), ("circle", "circle"))
    for link, target in links:
        if not (shared.folder / link).is_symlink():
            (shared.folder / link).symlink_to(target)
    answer = shared.raw(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"secret" not in answer.replace(b"secret.txt", b"")
    assert b"root:" not in answer


def test_what_the_well_known_folder_holds_is_shown(shared: Preview) -> None:
    shared.put(".well-known/security.txt", b"Contact: mailto:a@example.com")
    assert httpx.get(f"{shared.url}/.well-known/security.txt").status_code == 200


def test_links_inside_of_the_project_are_followed(shared: Preview) -> None:
    shared.put("real.txt", b"real")
    (shared.folder / "alias.txt").unlink(missing_ok=True)
    (shared.folder / "alias.txt").symlink_to("real.txt")
    assert httpx.get(f"{shared.url}/alias.txt").content == b"real"


def test_it_needs_nothing_newer_than_python_3_8() -> None:
    sources = [path for path in Path(server.__path__[0]).glob("*.py") if path.name != "bundle.py"]
    assert len(sources) > 10
    for path in sources:
        text = path.read_text()
        ast.parse(text, feature_version=(3, 8))
        assert ".removeprefix(" not in text
        assert ".removesuffix(" not in text
