"""Path templates: the grammar of google/api/http.proto."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.transcoder.errors import ContractError
from gateway.transcoder.template import parse_template


@pytest.mark.parametrize(
    ("source", "segments", "variables", "verb"),
    [
        ("/v1", ["v1"], [], ""),
        ("/v1/items", ["v1", "items"], [], ""),
        ("/v1/*", ["v1", "*"], [], ""),
        ("/v1/**", ["v1", "**"], [], ""),
        ("/v1/{a}", ["v1", "*"], [("a", 1, 2, False)], ""),
        ("/v1/{a=*}", ["v1", "*"], [("a", 1, 2, False)], ""),
        ("/v1/{a=**}", ["v1", "**"], [("a", 1, None, True)], ""),
        ("/v1/{a=items/*}", ["v1", "items", "*"], [("a", 1, 3, True)], ""),
        ("/v1/{a=items/**}", ["v1", "items", "**"], [("a", 1, None, True)], ""),
        ("/v1/{a=items}", ["v1", "items"], [("a", 1, 2, False)], ""),
        ("/v1/{a.b.c}", ["v1", "*"], [("a.b.c", 1, 2, False)], ""),
        ("/{a}/x/{b=y/*}", ["*", "x", "y", "*"], [("a", 0, 1, False), ("b", 2, 4, True)], ""),
        ("/v1/items:list", ["v1", "items"], [], "list"),
        ("/v1/{a=**}:undo", ["v1", "**"], [("a", 1, None, True)], "undo"),
        ("/v1/{a}:x-y.z_1", ["v1", "*"], [("a", 1, 2, False)], "x-y.z_1"),
        ("/.well-known/jwks.json", [".well-known", "jwks.json"], [], ""),
        ("/v1/caf%C3%A9", ["v1", "café"], [], ""),
        ("/v1/a%3Ab", ["v1", "a:b"], [], ""),
    ],
)
def test_a_template_is_read_as_the_grammar_says(
    source: str, segments: list[str], variables: list[Any], verb: str
) -> None:
    found = parse_template(source)
    assert [str(segment) for segment in found.segments] == segments
    assert [(v.name, v.start, v.stop, v.multi) for v in found.variables] == variables
    assert found.verb == verb


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("", "'/' must stand"),
        ("v1", "'/' must stand"),
        ("/", "a segment must stand"),
        ("/v1/", "a segment must stand"),
        ("/v1//a", "a segment must stand"),
        ("/v1/**/a", "last"),
        ("/v1/{a=**}/b", "last"),
        ("/v1/{a=**/b}", "last"),
        ("/v1/{a", "'}' must stand"),
        ("/v1/{}", "a field name must stand"),
        ("/v1/{a.}", "a field name must stand"),
        ("/v1/{1a}", "a field name must stand"),
        ("/v1/{a=}", "a segment must stand"),
        ("/v1/{a={b}}", "a variable inside a variable"),
        ("/v1/{a}{b}", "no part of a template"),
        ("/v1/x{a}", "no part of a template"),
        ("/v1/***", "no part of a template"),
        ("/v1/a:", "a verb must stand"),
        ("/v1/a:b:c", "no part of a template"),
        ("/v1/a:b/c", "no part of a template"),
        ("/v1/a?b", "no part of a template"),
        ("/v1/a b", "no part of a template"),
        ("/v1/{a}/{a}", "bound twice"),
        ("/v1/%zz", "a segment must stand"),
    ],
)
def test_what_the_grammar_does_not_allow_is_named(source: str, complaint: str) -> None:
    with pytest.raises(ContractError, match="path template") as caught:
        parse_template(source)
    assert complaint in str(caught.value)
