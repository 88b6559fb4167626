"""The preview server's pages: where the script goes, what is shown for what is missing."""

from __future__ import annotations

import os
import re
from pathlib import Path

import httpx
import pytest

from tests.unit.sandbox.preview import Preview, running

PAGE = (
    b"<!doctype html><html lang=en><head><title>x</title></head><body><h1>Hello</h1></body></html>"
)
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
TAG = re.compile(
    rb'<script src="/__sandwright/live\.js" data-version="[0-9a-f]+\.[0-9a-f]+" data-file="([^"]*)"></script>'
)


def test_an_empty_project_has_a_friendly_page(preview: Preview) -> None:
    answer = httpx.get(preview.url, headers=BROWSER)
    assert answer.status_code == 200
    assert "Nothing here yet" in answer.text
    assert TAG.search(answer.content)
    assert httpx.get(f"{preview.url}/x").status_code == 404


def test_a_project_without_a_front_page_lists_its_pages(preview: Preview) -> None:
    preview.put('a/"b" <c>&.html', PAGE)
    preview.put("404.html", b"own")
    answer = httpx.get(preview.url)
    assert answer.status_code == 200
    assert (
        '<a href="/a/%22b%22%20%3Cc%3E%26.html">a/&quot;b&quot; &lt;c&gt;&amp;.html</a>'
        in answer.text
    )
    assert httpx.get(f"{preview.url}/a/%22b%22%20%3Cc%3E%26.html").content == PAGE


def test_a_name_that_is_no_text_does_no_harm(preview: Preview) -> None:
    preview.put("keep.html", PAGE)
    (preview.folder / "keep.html").rename(os.fsdecode(bytes(preview.folder) + b"/\xff.html"))
    assert b'href="/%FF.html"' in httpx.get(preview.url, headers=BROWSER).content
    shown = httpx.get(f"{preview.url}/%FF.html", headers=BROWSER)
    assert TAG.sub(b"", shown.content) == PAGE


def test_only_pages_get_the_script_and_the_file_stays_as_it_is(shared: Preview) -> None:
    shared.put("index.html", PAGE)
    assert httpx.get(shared.url).content == PAGE
    shown = httpx.get(shared.url, headers=BROWSER)
    assert TAG.sub(b"TAG", shown.content) == PAGE.replace(b"<head>", b"<head>TAG")
    assert shown.headers["etag"] != httpx.get(shared.url).headers["etag"]
    assert shown.headers["vary"] == "Accept, Sec-Fetch-Dest"
    assert "last-modified" not in shown.headers
    assert (shared.folder / "index.html").read_bytes() == PAGE
    for name in ("live.js", "repaint.js"):
        script = httpx.get(f"{shared.url}/__sandwright/{name}")
        assert script.headers["content-type"] == "text/javascript; charset=utf-8"
        assert len(script.text) > 1000


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Dest": "empty"},
        {"Sec-Fetch-Dest": "image"},
        {"X-Requested-With": "XMLHttpRequest"},
        {"Accept": "*/*"},
    ],
)
def test_what_a_script_loads_into_a_page_is_left_alone(
    shared: Preview, headers: dict[str, str]
) -> None:
    shared.put("part.html", b"<p>part</p>")
    got = httpx.get(f"{shared.url}/part.html", headers={**BROWSER, **headers})
    assert got.content == b"<p>part</p>"


def test_a_frame_is_a_page(shared: Preview) -> None:
    shared.put("frame.html", b"<p>")
    headers = {"Accept": "*/*", "Sec-Fetch-Dest": "iframe"}
    assert TAG.search(httpx.get(f"{shared.url}/frame.html", headers=headers).content)


@pytest.mark.parametrize(
    ("page", "shown"),
    [
        (b"<p>bare", b"TAG<p>bare"),
        (b"", b"TAG"),
        (b"<html>x</HTML>", b"<html>TAGx</HTML>"),
        (b"<!DOCTYPE html><HTML\nlang='>'><p>", b"<!DOCTYPE html><HTML\nlang='>'>TAG<p>"),
        (b"\xef\xbb\xbf<!doctype html><p>", b"\xef\xbb\xbf<!doctype html>TAG<p>"),
        (b" <!-- a > b --> <!doctype html>\n<head>", b" <!-- a > b --> <!doctype html>\n<head>TAG"),
        (b"<?xml version='1.0'?><!doctype html>", b"<?xml version='1.0'?><!doctype html>TAG"),
        (b"<!doctype html><header>x", b"<!doctype html>TAG<header>x"),
        (b'<!doctype html><html lang="en><p>', b'<!doctype html>TAG<html lang="en><p>'),
        (b"<!doctype html><!-- never ends", b"<!doctype html>TAG<!-- never ends"),
        (b"<!doctype html><html><head><meta", b"<!doctype html><html><head>TAG<meta"),
        (b"\xff\xfe<\x00p\x00", b"\xff\xfe<\x00p\x00"),
    ],
)
def test_the_script_comes_first_however_the_page_goes_on(
    shared: Preview, page: bytes, shown: bytes
) -> None:
    shared.put("page.html", page)
    got = httpx.get(f"{shared.url}/page.html", headers=BROWSER).content
    assert TAG.sub(b"TAG", got) == shown


def test_the_projects_own_page_for_what_is_missing(preview: Preview) -> None:
    preview.put("404.html", b"<p>own</p>")
    answer = httpx.get(f"{preview.url}/nothing")
    assert (answer.status_code, answer.content) == (404, b"<p>own</p>")
    shown = httpx.get(f"{preview.url}/nothing", headers=BROWSER)
    found = TAG.search(shown.content)
    assert found is not None
    assert found[1] == b"404.html"


def test_a_project_says_itself_that_it_is_a_single_page(preview: Preview) -> None:
    preview.put("index.html", b"front")
    preview.put("200.html", b"app")
    for path in ("/about", "/users/12/"):
        answer = httpx.get(preview.url + path, headers=BROWSER)
        assert (answer.status_code, TAG.sub(b"", answer.content)) == (200, b"app")
    for path in ("/app.js", "/logo.png"):
        assert httpx.get(preview.url + path, headers=BROWSER).status_code == 404
    assert httpx.get(f"{preview.url}/data", headers={"Sec-Fetch-Dest": "empty"}).status_code == 404
    assert httpx.get(preview.url).content == b"front"


def test_the_setting_makes_the_front_page_answer_for_what_is_missing(tmp_path: Path) -> None:
    with running(tmp_path, single_page=True) as preview:
        assert httpx.get(f"{preview.url}/about", headers=BROWSER).status_code == 404
        preview.put("index.html", b"front")
        answer = httpx.get(f"{preview.url}/about", headers=BROWSER)
        assert (answer.status_code, TAG.sub(b"", answer.content)) == (200, b"front")
        assert httpx.get(f"{preview.url}/app.js", headers=BROWSER).status_code == 404
        # A project that has a page for what is missing is none of a single page.
        preview.put("404.html", b"own")
        assert httpx.get(f"{preview.url}/about", headers=BROWSER).status_code == 404
