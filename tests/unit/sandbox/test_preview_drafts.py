"""Drafts are shown in place of files, for as long as they are alive."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from kit.testing import eventually_sync
from tests.unit.sandbox.preview import Preview, running


def shows(preview: Preview, path: str) -> bytes:
    return httpx.get(f"{preview.url}/{path}").content


def test_a_draft_is_shown_until_its_file_is_written(preview: Preview) -> None:
    preview.put("index.html", b"old")
    preview.draft("index.html", b"half")
    assert shows(preview, "") == b"half"
    assert (preview.folder / "index.html").read_bytes() == b"old"
    preview.draft("index.html", b"half and more")
    assert shows(preview, "") == b"half and more"
    preview.put("index.html", b"new")
    assert shows(preview, "") == b"new"
    preview.draft("index.html", b"next")
    assert shows(preview, "") == b"next"


def test_a_file_that_was_sent_before_the_draft_but_placed_after_it_is_the_newer(
    preview: Preview,
) -> None:
    preview.put("index.html", b"old")
    aside = preview.folder.parent / "sent-early"
    aside.write_bytes(b"whole")
    preview.draft("index.html", b"half")
    aside.rename(preview.folder / "index.html")
    assert shows(preview, "") == b"whole"


def test_a_draft_of_what_is_not_there_yet_is_shown(preview: Preview) -> None:
    place = preview.draft("about/index.html", b"<p>about")
    assert shows(preview, "about/") == b"<p>about"
    moved = httpx.get(f"{preview.url}/about")
    assert (moved.status_code, moved.headers["location"]) == (301, "/about/")
    assert b'href="/about/index.html"' in shows(preview, "")
    place.unlink()
    assert httpx.get(f"{preview.url}/about/").status_code == 404


def test_of_two_generations_the_newer_draft_is_shown(preview: Preview) -> None:
    preview.draft("index.html", b"first", "gen-2")
    newer = preview.draft("index.html", b"second", "gen-1")
    assert shows(preview, "") == b"second"
    newer.unlink()
    assert shows(preview, "") == b"first"


def test_a_draft_that_nobody_writes_to_any_more_vanishes(tmp_path: Path) -> None:
    with running(tmp_path, draft_seconds=0.2) as preview:
        preview.put("index.html", b"file")
        place = preview.draft("index.html", b"half")
        eventually_sync(lambda: shows(preview, "") == b"file")
        assert not place.exists()


def test_no_draft_leads_out_of_its_folder(preview: Preview) -> None:
    secret = preview.folder.parent / "secret.txt"
    secret.write_text("secret")
    place = preview.draft("page.txt", b"x")
    place.unlink()
    place.symlink_to(secret)
    assert httpx.get(f"{preview.url}/page.txt").status_code == 404
    (place.parent / "linked").symlink_to(secret.parent)
    assert httpx.get(f"{preview.url}/linked/secret.txt").status_code == 404
    os.mkfifo(place.parent / "pipe.txt")
    assert httpx.get(f"{preview.url}/pipe.txt").status_code == 404
    preview.draft(".env", b"secret")
    assert httpx.get(f"{preview.url}/.env").status_code == 404


@pytest.fixture
def events(preview: Preview) -> Iterator[Iterator[dict[str, str]]]:
    """What a listener is told of, change by change."""
    preview.put("index.html", b"old")
    with httpx.stream("GET", f"{preview.url}/__sandwright/events", timeout=30) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        lines = answer.iter_lines()
        assert next(line for line in lines if line.startswith("event")) == "event: version"
        next(lines)

        def changes() -> Iterator[dict[str, str]]:
            for line in lines:
                if line.startswith("data: "):
                    yield json.loads(line[6:])["paths"]

        yield changes()


def test_listeners_hear_what_changed(preview: Preview, events: Iterator[dict[str, str]]) -> None:
    preview.put('css/"\u00e9\U0001f600.css', b"x")
    assert next(events) == {'css/"\u00e9\U0001f600.css': "added"}
    preview.put("index.html", b"other")
    assert next(events) == {"index.html": "changed"}
    (preview.folder / "index.html").unlink()
    assert next(events) == {"index.html": "removed"}


def test_listeners_hear_of_drafts_and_of_their_ends(
    preview: Preview, events: Iterator[dict[str, str]]
) -> None:
    place = preview.draft("index.html", b"half")
    assert next(events) == {"index.html": "draft"}
    preview.draft("index.html", b"more")
    assert next(events) == {"index.html": "draft"}
    place.unlink()
    assert next(events) == {"index.html": "changed"}
    new = preview.draft("new.html", b"half")
    assert next(events) == {"new.html": "draft"}
    new.unlink()
    assert next(events) == {"new.html": "removed"}


def test_nobody_is_told_of_folders_that_are_not_the_projects_own(
    preview: Preview, events: Iterator[dict[str, str]]
) -> None:
    preview.put("node_modules/x/index.js", b"1")
    preview.put(".git/HEAD", b"2")
    preview.put("last.txt", b"3")
    assert next(events) == {"last.txt": "added"}


def test_a_version_is_the_same_after_a_restart(tmp_path: Path) -> None:
    tags: list[str] = []
    for _ in range(2):
        with running(tmp_path) as preview:
            if not tags:
                preview.put("index.html", b"x")
                preview.draft("b.html", b"y")
            headers = {"Accept": "text/html"}
            tags.append(httpx.get(preview.url, headers=headers).headers["etag"])
    assert tags[0] == tags[1]
