"""What is shown of a file that is still being written."""

from __future__ import annotations

from itertools import pairwise

import html5lib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.generation.agent.canvas import MOST_BYTES, Canvas

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Tom &amp; Jerry</title>
<style>a > b { content: "</sty"; }</style><link rel="stylesheet" href="css/site.css?a=1&amp;b=2"></head>
<body><!-- a > comment --><h1 title="a > b">Café &eacute; &#233;</h1><img alt="x" src='a.png'/><p>One<br/>two
<script>if (1 < 2) { document.write("<b>") }</script><svg><path d="M0 0"/></svg><p>Last</p></body></html>
"""


def _painted(pieces: list[str], path: str = "index.html") -> list[str]:
    canvas = Canvas(path)
    pictures = []
    for piece in pieces:
        canvas.add(piece)
        pictures.append(canvas.picture().decode())
    return pictures


def test_each_picture_is_a_beginning_that_ends_with_no_half_of_anything() -> None:
    for picture in _painted(list(PAGE)):
        assert PAGE.startswith(picture)
        assert picture.rfind("<") <= picture.rfind(">"), picture[-40:]
        assert picture.count("<script") == picture.count("</script>")
        assert picture.count("<style") == picture.count("</style>")
        assert picture.count("<!--") == picture.count("-->")
        assert not picture.endswith(("&", "&e", "&eacute", "&#23"))


def test_the_whole_file_is_shown_at_its_end() -> None:
    assert _painted(list(PAGE))[-1] == PAGE


def test_what_is_there_is_shown_soon() -> None:
    (picture,) = _painted([PAGE[: PAGE.index("Last") + 2]])
    assert picture.endswith("<p>La")


@given(st.lists(st.integers(0, len(PAGE)), max_size=30))
def test_a_picture_is_the_same_however_the_text_was_cut(places: list[int]) -> None:
    cuts = [0, *sorted(places), len(PAGE)]
    pieces = [PAGE[a:b] for a, b in pairwise(cuts)]
    whole = _painted(list(PAGE))
    canvas, fed = Canvas("index.html"), 0
    for piece in pieces:
        canvas.add(piece)
        fed += len(piece)
        if fed:
            assert canvas.picture().decode() == whole[fed - 1]


@given(st.text(alphabet="<>/!-[]&;\"'= abcscriptyle\n", max_size=200))
def test_whatever_is_written_a_picture_is_a_beginning_of_it(text: str) -> None:
    for picture in _painted(list(text)):
        assert text.startswith(picture)


@pytest.mark.parametrize("text", ["<![foo[", "<![>", "<![x[ ]]>"])
def test_what_the_parser_refuses_ends_the_drafts_of_its_file_and_nothing_else(text: str) -> None:
    assert _painted(["<p>One</p>", text, "<p>Two</p>"]) == ["<p>One</p>", "", ""]


@given(st.integers(0, len(PAGE)))
def test_a_browser_s_parser_finds_no_tag_or_text_in_a_picture_that_the_page_has_not(
    end: int,
) -> None:
    (picture,) = _painted([PAGE[:end]])
    there = [element.tag for element in html5lib.parse(PAGE, namespaceHTMLElements=False).iter()]
    shown = html5lib.parse(picture, namespaceHTMLElements=False)
    assert {str(element.tag) for element in shown.iter()} <= {str(tag) for tag in there}


def test_a_style_sheet_is_shown_as_it_is_and_other_files_are_not() -> None:
    assert _painted(["body { color: ", "red; }"], "css/site.css")[0] == "body { color: "
    assert _painted(["const a = 1"], "js/site.js") == [""]
    assert _painted(["<svg>"], "logo.svg") == [""]


@pytest.mark.parametrize("text", ["a" * (MOST_BYTES + 1), "é" * (MOST_BYTES // 2 + 1)])
def test_a_file_that_is_too_large_is_not_shown(text: str) -> None:
    assert _painted([text]) == [""]
