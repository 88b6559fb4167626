"""What the checks find in small sites, what they leave alone, and that nothing makes them raise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.generation.checks import blamed, findings

HEAD = '<!doctype html><html lang="en"><title>Hi</title><body>'
FOOT = "</body></html>"


def page(body: str) -> bytes:
    return f"{HEAD}{body}{FOOT}".encode()


def found(path: str, content: bytes, **others: bytes) -> list[tuple[str, int]]:
    files = {path: content, "about.html": page('<p id="team">Team</p>'), "logo.png": None, **others}
    return [(one.rule, one.line) for one in findings(files) if one.path == path]


BAD_PAGES = {
    "doctype": (b'<html lang="en"><title>x</title><p>y</html>', ["missing-doctype"]),
    "title": (b'<!doctype html><html lang="en"><p>y</html>', ["missing-title"]),
    "language": (b"<!doctype html><html><title>x</title><p>y</html>", ["missing-lang"]),
    "cut": (HEAD.encode() + b'<p>and then <a href="ab', ["html-cut-off"]),
    "cut script": (HEAD.encode() + b"<script>let a = 1;", ["html-cut-off"]),
    "end tag": (page("<p>x</div>"), ["html-syntax"]),
    "unclosed": (page("<div><p>x</p>"), ["html-syntax"]),
    "same id": (page('<p id="a">x</p><p id="a">y</p>'), ["duplicate-id"]),
    "dead link": (page('<a href="gone.html">x</a>'), ["broken-link"]),
    "dead folder": (page('<a href="blog/">x</a>'), ["broken-link"]),
    "dead form": (page('<form action="send"></form>'), ["broken-link"]),
    "anchor": (page('<a href="#gone">x</a>'), ["broken-anchor"]),
    "anchor elsewhere": (page('<a href="about.html#gone">x</a>'), ["broken-anchor"]),
    "style sheet": (page('<link rel="stylesheet" href="/site.css">'), ["missing-asset"]),
    "picture": (page('<img alt="" src="a.png">'), ["missing-asset"]),
    "pictures": (
        page('<img alt="" src="logo.png" srcset="logo.png 1x, b.png 2x">'),
        ["missing-asset"],
    ),
    "case": (page('<img alt="" src="Logo.png">'), ["case-mismatch"]),
    "alt": (page('<img src="logo.png">'), ["missing-alt"]),
    "label": (page('<label for="q">x</label>'), ["broken-id-reference"]),
    "aria": (page('<p aria-describedby="q">x</p>'), ["broken-id-reference"]),
    "inline style": (page('<p style="background: url(a.png)">x</p>'), ["missing-asset"]),
    "style": (page("<style>p { color red; }</style>"), ["css-syntax"]),
    "import": (page("<style>@import 'a.css';</style>"), ["missing-asset"]),
    "script": (page("<script>let a = ;</script>"), ["js-syntax"]),
    "handler": (page('<button onclick="go(">x</button>'), ["js-syntax"]),
    "data": (page('<script type="application/json">{"a": 1,}</script>'), ["json-syntax"]),
    "drawing": (page('<svg><use href="#a"/><path fill="url(#b)"/></svg>'), ["broken-anchor"] * 2),
}


@pytest.mark.parametrize(("content", "rules"), BAD_PAGES.values(), ids=BAD_PAGES.keys())
def test_a_bad_page_is_found(content: bytes, rules: list[str]) -> None:
    assert [rule for rule, _ in found("index.html", content)] == rules


BAD_FILES = {
    "css": ("css/a.css", b"a { color: red }\nb { color red; }", [("css-syntax", 2)]),
    "cut css": ("css/a.css", b"a { color: red", [("css-cut-off", 1)]),
    "css address": ("css/a.css", b"a {\nbackground: url('logo.png') }", [("missing-asset", 2)]),
    "js": ("js/a.js", b"let a = 1;\nfunction f( { }", [("js-syntax", 2)]),
    "jsx": ("js/a.js", b"let a = <p>x</p>;", [("js-syntax", 1)]),
    "module": ("js/a.js", b"import b from './b.js';", [("missing-asset", 1)]),
    "json": ("a.json", b'{\n"a": nothing}', [("json-syntax", 2)]),
    "svg": ("a.svg", b"<svg>\n<g></svg>", [("svg-syntax", 2)]),
}


@pytest.mark.parametrize(("path", "content", "rules"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_a_bad_file_is_found(path: str, content: bytes, rules: list[tuple[str, int]]) -> None:
    assert found(path, content) == rules


GOOD_PAGES = {
    "links": '<a href="about.html#team">a</a><a href="/about.html?x=1">b</a><a href="./">c</a>',
    "outside": '<a href="https://a.example/b">a</a><a href="mailto:a@b.example">b</a><a href="#">c</a>',
    "data": '<img alt="" src="data:image/gif;base64,AAAA">',
    "implied ends": "<ul><li>a<li>b</ul><p>c<p>d",
    "entities": "<p>a & b &copy; AT&T</p>",
    "hidden picture": '<img src="logo.png" aria-hidden="true">',
    "made by a script": '<a href="#later">a</a><script>make("later")</script>',
    "modern script": '<script type="module">class A { #b = 1; c() { return this?.#b ?? 0 } }</script>',
    "modern style": "<style>a { &:hover { color: red } @media (width > 1px) { b: c } }</style>",
    "drawing": '<svg><defs><path id="a"/></defs><use href="#a"/></svg>',
    "hash routes": '<a href="#/about">a</a>',
}


@pytest.mark.parametrize("body", GOOD_PAGES.values(), ids=GOOD_PAGES.keys())
def test_a_good_page_is_left_alone(body: str) -> None:
    assert found("index.html", page(body)) == []


def test_what_was_wrong_before_is_not_blamed_where_it_only_moved() -> None:
    before = {"index.html": page('<a href="gone.html">x</a>')}
    after = {"index.html": page('<p>new</p>\n\n<a href="gone.html">x</a><a href="lost.html">y</a>')}
    (finding,) = blamed(before, after)
    assert "lost.html" in finding.message


def test_a_page_that_was_deleted_is_missed_by_the_pages_that_link_to_it() -> None:
    before = {"index.html": page('<a href="a.html">x</a>'), "a.html": page("")}
    (finding,) = blamed(before, {"index.html": before["index.html"]})
    assert (finding.path, finding.rule) == ("index.html", "broken-link")


def test_what_nests_without_end_is_given_up() -> None:
    assert ("html-syntax", 1) in found("index.html", HEAD.encode() + b"<div>" * 5_000)
    for path, content in (
        ("a.css", b"a{" * 5_000),
        ("a.js", b"(" * 5_000),
        ("a.json", b"[" * 9_999),
    ):
        findings({path: content})


PARTS = [
    "<",
    ">",
    "</",
    "a",
    "p",
    "svg",
    "style",
    "script",
    "id=",
    "href=",
    '"',
    "'",
    "#",
    "{",
    "}",
    "(",
    "url(",
    "@import",
    ";",
    ":",
    "/*",
    "*/",
    "<!--",
    "-->",
    "\\",
    "&",
]
MARKUP = st.lists(st.sampled_from([*PARTS, " ", "\n", "\0"]), max_size=40).map(
    lambda parts: "".join(parts).encode()
)


@pytest.mark.parametrize("kind", ["html", "css", "js", "json", "svg"])
@given(content=st.binary(max_size=200) | MARKUP)
def test_no_bytes_make_it_raise(kind: str, content: bytes) -> None:
    for finding in findings({f"a.{kind}": content}):
        assert finding.line >= 0
        finding.message.encode()
