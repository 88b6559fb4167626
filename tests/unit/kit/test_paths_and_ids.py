"""Paths of a project, ids and page tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.errors import Invalid
from kit.ids import new_id
from kit.paging import page_position, page_size, page_token
from kit.paths import MAX_BYTES, checked_path, media_type


@pytest.mark.parametrize(
    "path",
    [
        "index.html",
        "css/site.css",
        "a/b/c/d.txt",
        ".well-known/x",
        "ünï/çödé ☕.html",
        "a..b",
        "x" * 255,
    ],
)
def test_an_ordinary_path_is_taken_as_it_is(path: str) -> None:
    assert checked_path(path) == path


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("", "empty"),
        ("/etc/passwd", "relative"),
        ("../up", "'..'"),
        ("a/../b", "'..'"),
        ("a/..", "'..'"),
        ("./a", "'.'"),
        ("a//b", "empty segment"),
        ("a/", "empty segment"),
        ("a\x00b", "control"),
        ("a\nb", "control"),
        ("a\x7f", "control"),
        ("a\\b", "backslash"),
        ("x" * 256, "255 bytes"),
        ("/".join(["x" * 200] * 6), f"{MAX_BYTES} bytes"),
        ("\ud800", "Unicode"),
        ("/".join(["a"] * 34), "32 folders"),
    ],
)
def test_a_bad_path_is_refused_with_the_field_and_the_rule(path: str, says: str) -> None:
    with pytest.raises(Invalid) as caught:
        checked_path(path, "path")
    (violation,) = caught.value.violations
    assert violation.field == "path"
    assert says in violation.message


@given(st.text(max_size=60))
def test_a_path_that_passes_never_leaves_its_folder(path: str) -> None:
    try:
        checked_path(path)
    except Invalid:
        return
    assert not path.startswith("/")
    assert not {"", ".", ".."} & set(path.split("/"))
    assert "\x00" not in path


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("a.html", "text/html"),
        ("a.css", "text/css"),
        ("a.js", "text/javascript"),
        ("a.svg", "image/svg+xml"),
        ("a.webp", "image/webp"),
        ("a.woff2", "font/woff2"),
        ("a.unknown-ending", "application/octet-stream"),
        ("LICENSE", "application/octet-stream"),
    ],
)
def test_media_types_are_the_same_on_every_machine(path: str, kind: str) -> None:
    assert media_type(path) == kind


def test_ids_are_unique_sort_by_time_and_fit_a_host_name() -> None:
    ids = [new_id("prj") for _ in range(2000)]
    assert len(set(ids)) == 2000
    assert ids == sorted(ids)
    assert all(
        len(found) == 30 and set(found) <= set("0123456789abcdefghijklmnopqrstuvwxyz-")
        for found in ids
    )


def test_a_page_token_brings_its_position_back() -> None:
    assert page_position(page_token("2026-11-23", 7), str, int) == ["2026-11-23", 7]
    assert page_position("", str) is None
    assert (page_size(0, 50, 200), page_size(7, 50, 200), page_size(900, 50, 200)) == (50, 7, 200)


@pytest.mark.parametrize(
    "token", ["x", "é", "////", "bnVsbA", page_token("a", "b"), page_token("a\x00")]
)
def test_a_page_token_that_was_not_given_is_refused(token: str) -> None:
    with pytest.raises(Invalid) as caught:
        page_position(token, str)
    assert caught.value.violations[0].field == "page_token"
