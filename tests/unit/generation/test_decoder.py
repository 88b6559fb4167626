"""The incremental decoder says what the standard library says, however the text is cut."""

from __future__ import annotations

import json
import sys
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.generation.agent.decoder import ObjectDecoder
from services.generation.agent.drafts import FileDraft

TEXTS = st.text(st.characters(codec=None))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)


def decoded(parts: list[str]) -> tuple[dict[str, str], set[str], ObjectDecoder]:
    decoder = ObjectDecoder()
    texts: dict[str, str] = {}
    ended: set[str] = set()
    for part in parts:
        for piece in decoder.feed(part):
            texts[piece.key] = texts.get(piece.key, "") + piece.text
            if piece.ended:
                ended.add(piece.key)
    return texts, ended, decoder


def cut(text: str, places: list[int]) -> list[str]:
    edges = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[begin:end] for begin, end in pairwise(edges)]


@given(
    st.dictionaries(TEXTS, VALUES, max_size=5),
    st.lists(st.integers(min_value=0), max_size=30),
    st.booleans(),
    st.sampled_from([None, 0, 2]),
)
def test_any_object_in_any_cut_gives_its_strings(
    found: dict[str, object], places: list[int], ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps(found, ensure_ascii=ascii_only, indent=indent)
    texts, ended, decoder = decoded(cut(text, places))
    # JSON joins halves of a pair that Python kept apart: what counts is what a reader of the text sees.
    strings = {k: v for k, v in json.loads(text).items() if isinstance(v, str)}
    assert texts == strings
    assert ended == set(strings)
    assert not decoder.broken


@given(st.dictionaries(TEXTS, TEXTS, max_size=4))
def test_one_character_at_a_time(found: dict[str, str]) -> None:
    text = json.dumps(found)
    assert decoded(list(text))[0] == json.loads(text)


def test_an_escaped_pair_that_is_cut_in_its_middle_is_one_character() -> None:
    text = '{"content": "a\\ud83e\\udd50b"}'
    for place in range(len(text)):
        assert decoded([text[:place], text[place:]])[0] == {"content": "a🥐b"}


@given(st.text(max_size=60), st.lists(st.integers(min_value=0), max_size=5))
def test_nothing_that_comes_in_raises(text: str, places: list[int]) -> None:
    decoded(cut(text, places))


@pytest.mark.parametrize("text", ["[1]", '{"a" 1}', "{a: 1}", '{"a": "\\x"}', '{"a": "\\u12g4"}'])
def test_what_is_no_object_is_broken(text: str) -> None:
    assert decoded([text])[2].broken


def test_work_grows_with_the_text_and_not_with_its_square() -> None:
    def calls(size: int) -> int:
        text = json.dumps({"path": "a", "content": 'x"\n' * size})
        decoder, counted = ObjectDecoder(), Counter[str]()
        sys.setprofile(lambda _, kind, __: counted.update([kind]))
        try:
            for start in range(0, len(text), 16):
                decoder.feed(text[start : start + 16])
        finally:
            sys.setprofile(None)
        return counted["call"] + counted["c_call"]

    assert calls(16_000) < calls(1_000) * 17


def shown(parts: list[str]) -> tuple[str, str]:
    """Path and text of the deltas, whose offsets fit."""
    draft = FileDraft()
    path, text = "", ""
    for part in parts:
        if delta := draft.feed(part):
            assert delta.offset == len(text)
            path, text = delta.path, text + delta.text
    return path, text


@given(st.text(), st.lists(st.integers(min_value=0), max_size=12), st.booleans())
def test_a_draft_shows_the_whole_content(content: str, places: list[int], path_first: bool) -> None:
    given_ = {"path": "css/ü.css", "content": content}
    if not path_first:
        given_ = dict(reversed(given_.items()))
    path, text = shown(cut(json.dumps(given_), places))
    assert text == content
    assert path == ("css/ü.css" if content else "")


@pytest.mark.parametrize("path", ["../a", "/a", "", "a//b", "a\x00"])
def test_a_draft_of_a_bad_path_shows_nothing(path: str) -> None:
    assert shown([json.dumps({"path": path, "content": "secret"})]) == ("", "")


def test_half_a_pair_is_shown_as_the_replacement_character() -> None:
    assert shown(['{"path": "a", "content": "x\\ud83ey"}']) == ("a", "x\ufffdy")
