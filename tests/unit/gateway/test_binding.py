"""Templates × URLs × bodies: what arrives in the request message, and what is refused."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import orjson
import pytest
from google.protobuf import text_format

from gateway.transcoder.binding import RequestBinder
from gateway.transcoder.codec import JsonCodecs
from gateway.transcoder.errors import ContractError, HttpError
from gateway.transcoder.router import Router
from tests.unit.gateway.sample.contract import contract_of, new, sample_contract


class Bound:
    """All of the sample's routes with their binders, and no server behind them."""

    def __init__(self) -> None:
        contract = sample_contract()
        codecs = JsonCodecs(contract.pool)
        self.router: Router[RequestBinder] = Router()
        for method in contract.methods:
            for rule in method.rules:
                binder = RequestBinder(method, rule, codecs)
                self.router.add(rule.verb, rule.template, binder)

    def bind(self, method: str, url: str, body: str = "", **headers: str) -> Any:
        path, _, query = url.partition("?")
        match = self.router.match(method, path)
        assert match is not None, f"no route for {method} {path}"
        given = {name.replace("_", "-").encode(): value for name, value in headers.items()}
        return match.route.bind(match.values(), query.encode(), body.encode(), given.get)


@pytest.fixture(name="bound", scope="module")
def _bound() -> Bound:
    return Bound()


def _text(message: Any) -> str:
    return text_format.MessageToString(message, as_one_line=True, as_utf8=True)


S = "/v1/search?"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        # both spellings of a name, nested ones
        ("pageToken=a", 'page_token: "a"'),
        ("page_token=a", 'page_token: "a"'),
        ("all.leaf.displayName=a", 'all { leaf { display_name: "a" } }'),
        ("all.leaf.display_name=a", 'all { leaf { display_name: "a" } }'),
        ("all.leaf.child.child.count=2", "all { leaf { child { child { count: 2 } } } }"),
        # escapes
        ("pageToken=a+b%2Bc%20d", 'page_token: "a b+c d"'),
        ("page%54oken=%C3%A9", 'page_token: "é"'),
        ("pageToken=a%26b%3Dc", 'page_token: "a&b=c"'),
        ("pageToken=a=b", 'page_token: "a=b"'),
        ("pageToken=%00", r'page_token: "\000"'),
        ("pageToken=", ""),
        ("pageToken", ""),
        ("&&pageToken=a&", 'page_token: "a"'),
        ("", ""),
        # scalars
        ("all.fInt32=-5", "all { f_int32: -5 }"),
        ("all.fInt32=2147483647", "all { f_int32: 2147483647 }"),
        ("all.fInt64=9223372036854775807", "all { f_int64: 9223372036854775807 }"),
        ("all.fUint64=18446744073709551615", "all { f_uint64: 18446744073709551615 }"),
        ("all.fDouble=1e308", "all { f_double: 1e+308 }"),
        ("all.fDouble=-Infinity", "all { f_double: -inf }"),
        ("all.fDouble=NaN", "all { f_double: nan }"),
        ("all.fFloat=3.4028235e38", "all { f_float: 3.4028235e+38 }"),
        ("all.fBool=true", "all { f_bool: true }"),
        ("all.fBool=1", "all { f_bool: true }"),
        ("all.oBool=false", "all { o_bool: false }"),
        ("all.oInt32=0", "all { o_int32: 0 }"),
        # enums by short name, full name, number
        ("all.fColour=dark_blue", "all { f_colour: COLOUR_DARK_BLUE }"),
        ("all.fColour=COLOUR_DARK_BLUE", "all { f_colour: COLOUR_DARK_BLUE }"),
        ("all.fColour=2", "all { f_colour: COLOUR_DARK_BLUE }"),
        ("all.fColour=77", "all { f_colour: 77 }"),
        # bytes in both alphabets, padded or not
        ("all.fBytes=-_8%3D", r'all { f_bytes: "\373\377" }'),
        ("all.fBytes=%2B%2F8", r'all { f_bytes: "\373\377" }'),
        # lists
        ("all.rInt32=1&all.rInt32=2", "all { r_int32: 1 r_int32: 2 }"),
        ("all.rString=a&all.r_string=b", 'all { r_string: "a" r_string: "b" }'),
        (
            "all.rColour=red&all.rColour=2",
            "all { r_colour: COLOUR_RED r_colour: COLOUR_DARK_BLUE }",
        ),
        ("all.leaf.tags=x&all.leaf.tags=", 'all { leaf { tags: "x" tags: "" } }'),
        # messages that are strings, and wrappers
        ("all.wTime=1970-01-01T00:00:01.5Z", "all { w_time { seconds: 1 nanos: 500000000 } }"),
        ("all.wTime=1970-01-01T01:00:00%2B01:00", "all { w_time { } }"),
        ("all.wDuration=-1.5s", "all { w_duration { seconds: -1 nanos: -500000000 } }"),
        (
            "all.wMask=fInt32,leaf.displayName",
            'all { w_mask { paths: "f_int32" paths: "leaf.display_name" } }',
        ),
        ("all.wBool=true", "all { w_bool { value: true } }"),
        ("all.wInt64=-7", "all { w_int64 { value: -7 } }"),
        ("all.wString=", "all { w_string { } }"),
        ("all.wBytes=AA", r'all { w_bytes { value: "\000" } }'),
        ("all.cString=x", 'all { c_string: "x" }'),
        ("all.%40type-like=x", 'all { renamed: "x" }'),
    ],
)
def test_query_parameters_become_fields(bound: Bound, url: str, expected: str) -> None:
    assert _text(bound.bind("GET", S + url)) == expected.strip()


@pytest.mark.parametrize(
    ("url", "field", "reason"),
    [
        ("nope=1", "nope", "no such parameter"),
        ("pagetoken=1", "pagetoken", "no such parameter"),
        ("all.nope=1", "all.nope", "no such parameter"),
        ("pageToken.x=1", "pageToken.x", "no such parameter"),
        ("pageToken=a&pageToken=b", "pageToken", "more than once"),
        ("pageToken=a&page_token=b", "page_token", "more than once"),
        ("all=1", "all", "object"),
        ("all.leaf=1", "all.leaf", "object"),
        ("all.mString=1", "all.mString", "map"),
        ("all.mString.a=1", "all.mString.a", "map"),
        ("all.wStruct=1", "all.wStruct", "cannot be given in a query"),
        ("all.wValue=1", "all.wValue", "cannot be given in a query"),
        ("all.wAny=1", "all.wAny", "cannot be given in a query"),
        ("all.rLeaf=1", "all.rLeaf", "cannot be given in a query"),
        ("all.rLeaf.count=1", "all.rLeaf.count", "cannot be given in a query"),
        ("all.rwTime=1970-01-01T00:00:00Z", "all.rwTime", "repeated messages"),
        ("all.fInt32=x", "all.fInt32", "whole number"),
        ("all.fInt32=", "all.fInt32", "whole number"),
        ("all.fInt32=1.5", "all.fInt32", "whole number"),
        ("all.fInt32=2147483648", "all.fInt32", "between"),
        ("all.fInt32=1e999999999", "all.fInt32", "between"),
        ("all.fUint32=-1", "all.fUint32", "between"),
        ("all.fBool=yes", "all.fBool", "true or false"),
        ("all.fDouble=1e309", "all.fDouble", "too large"),
        ("all.fFloat=1e39", "all.fFloat", "too large"),
        ("all.fDouble=nan", "all.fDouble", "number"),
        ("all.fColour=green", "all.fColour", "one of unspecified, red, dark_blue"),
        ("all.fColour=Red", "all.fColour", "one of"),
        ("all.fBytes=%21", "all.fBytes", "base64"),
        ("all.wTime=yesterday", "all.wTime", "RFC 3339"),
        ("all.wTime=2026-02-30T00:00:00Z", "all.wTime", "not a time"),
        ("all.wDuration=5", "all.wDuration", "duration"),
        ("all.cString=a&all.cInt64=1", "all.cInt64", "excludes another"),
        ("pageToken=%ff", "pageToken", "not UTF-8"),
        ("pageToken=%zz", "pageToken", "hexadecimal"),
        ("=x", "", "no such parameter"),
    ],
)
def test_query_parameters_that_fit_no_field_are_named(
    bound: Bound, url: str, field: str, reason: str
) -> None:
    with pytest.raises(HttpError) as caught:
        bound.bind("GET", S + url)
    assert caught.value.http == 400
    assert reason in str(caught.value)
    assert repr(field) in str(caught.value) or field == ""


@pytest.mark.parametrize(
    ("method", "url", "body", "expected"),
    [
        ("GET", "/v1/items/a", "", 'name: "items/a"'),
        ("GET", "/v1/shelves/s/items/a%2Fb", "", 'name: "a/b" shelf: "s"'),
        ("GET", "/v1/items/a?full=false", "", 'name: "items/a" full: false'),
        # the path wins over the query …
        ("GET", "/v1/items/a?name=items/zzz", "", 'name: "items/a"'),
        ("GET", "/v1/shelves/s/items/a?shelf=t&name=b", "", 'name: "a" shelf: "s"'),
        # … over a body field …
        (
            "PUT",
            "/v1/items/a",
            '{"name": "items/zzz", "displayName": "x"}',
            'item { name: "items/a" display_name: "x" }',
        ),
        # … and over the whole body
        (
            "POST",
            "/v1/items/a:cancel",
            '{"name": "items/zzz", "reason": "r"}',
            'name: "items/a" reason: "r"',
        ),
        ("POST", "/v1/items/a:cancel", "", 'name: "items/a"'),
        ("POST", "/v1/items/a:cancel", "{}", 'name: "items/a"'),
        ("POST", "/v1/items/a:cancel", '{"reason": null}', 'name: "items/a"'),
        ("POST", "/v1/items", '{"display_name": "x"}', 'item { display_name: "x" }'),
        ("POST", "/v1/items", "{}", "item { }"),
        ("POST", "/v1/items", "", ""),
        ("POST", "/v1/items?validateOnly=true", "{}", "item { } validate_only: true"),
        ("REPORT", "/v1/items/a", "", 'name: "items/a"'),
        ("ANYTHING", "/v1/any/a", "", 'name: "a"'),
        ("DELETE", "/v1/items/a", "", 'name: "items/a"'),
    ],
)
def test_path_query_and_body_meet_in_one_message(
    bound: Bound, method: str, url: str, body: Any, expected: str
) -> None:
    assert _text(bound.bind(method, url, body)) == expected


@pytest.mark.parametrize(
    ("method", "url", "body", "field"),
    [
        ("POST", "/v1/items/a:cancel?reason=r", "{}", "reason"),
        ("POST", "/v1/items?item.name=a", "{}", "item.name"),
        ("POST", "/v1/items", '{"nope": 1}', "item.nope"),
        ("POST", "/v1/items", '{"leaf": {"child": {"nope": 1}}}', "item.leaf.child.nope"),
        ("POST", "/v1/items", '{"displayName": 5}', "item.displayName"),
        ("POST", "/v1/items", '{"displayName": "a", "display_name": "b"}', "item.displayName"),
        ("POST", "/v1/items", '{"leaf": {"tags": ["a", 1]}}', "item.leaf.tags[1]"),
        ("POST", "/v1/items", '{"labels": {"a": 1}}', "item.labels['a']"),
        ("POST", "/v1/items", "[]", "object"),
        ("POST", "/v1/items/a:cancel", '{"reason": "a", "reason": "b"}', "duplicate"),
        ("POST", "/v1/items/a:cancel", '{"reason": ', "JSON"),
        ("POST", "/v1/items/a:cancel", '"x"', "object"),
        ("POST", "/v1/items/a:cancel", "null", "object"),
        ("POST", "/v1/items/a:cancel", '{"reason": "\\ud800"}', "JSON"),
    ],
)
def test_a_wrong_body_is_refused_with_its_place(
    bound: Bound, method: str, url: str, body: Any, field: str
) -> None:
    with pytest.raises(HttpError) as caught:
        bound.bind(method, url, body)
    assert caught.value.http == 400
    assert field in str(caught.value)


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        ({"displayName": "x"}, ["display_name"]),
        ({"display_name": "x", "colour": "red"}, ["display_name", "colour"]),
        ({"leaf": {"displayName": "x"}}, ["leaf.display_name"]),
        ({"leaf": {"child": {"tags": []}}}, ["leaf.child.tags"]),
        ({"leaf": {}}, ["leaf"]),
        ({"leaf": None}, ["leaf"]),
        ({"labels": {"a": "b"}}, ["labels"]),
        ({"name": "items/zzz", "colour": "red"}, ["colour"]),
        ({}, []),
    ],
)
def test_a_patch_without_a_mask_gets_one_from_its_body(
    bound: Bound, body: Any, paths: list[str]
) -> None:
    message = bound.bind("PATCH", "/v1/items/a", orjson.dumps(body).decode())
    assert list(message.update_mask.paths) == paths
    assert message.item.name == "items/a"


def test_a_mask_that_is_given_stays(bound: Bound) -> None:
    url = "/v1/items/a?updateMask=displayName,leaf.child"
    message = bound.bind("PATCH", url, '{"colour": "red"}')
    assert list(message.update_mask.paths) == ["display_name", "leaf.child"]


def test_headers_fill_the_fields_that_the_options_name(bound: Bound) -> None:
    message = bound.bind("POST", "/v1/items", "{}", idempotency_key="k")
    assert message.key == "k"
    message = bound.bind("POST", "/v1/items?key=mine", "{}", idempotency_key="k")
    assert message.key == "mine"
    message = bound.bind("GET", "/v1/watch/x?after=3", last_event_id="7")
    assert message.after == 7
    assert bound.bind("GET", "/v1/watch/x?after=3", last_event_id="").after == 3


def test_a_bad_header_is_named(bound: Bound) -> None:
    with pytest.raises(HttpError, match="Last-Event-ID") as caught:
        bound.bind("GET", "/v1/watch/x", last_event_id="seven")
    assert caught.value.http == 400


def test_what_is_nested_too_deeply_for_protobuf_is_refused_here(bound: Bound) -> None:
    deep = '{"child":' * 120 + "{}" + "}" * 120
    with pytest.raises(HttpError, match="nested too deeply") as caught:
        bound.bind("POST", "/v1/items", '{"leaf":' + deep + "}")
    assert caught.value.http == 400
    shallow = '{"child":' * 50 + "{}" + "}" * 50
    assert bound.bind("POST", "/v1/items", '{"leaf":' + shallow + "}").item.HasField("leaf")


def test_ten_thousand_parameters_are_refused(bound: Bound) -> None:
    with pytest.raises(HttpError, match="more than 1000"):
        bound.bind("GET", S + "&".join(["all.rInt32=1"] * 10_000))


def test_bytes_survive_every_way_of_writing_them(bound: Bound) -> None:
    data = bytes(range(256))
    for text in (base64.b64encode(data), base64.urlsafe_b64encode(data).rstrip(b"=")):
        escaped = text.decode().replace("+", "%2B").replace("/", "%2F")
        assert bound.bind("GET", f"{S}all.fBytes={escaped}") == new(
            "SearchRequest", all=new("Everything", f_bytes=data)
        )


_PROTO = """
syntax = "proto3";
package bad.v1;
import "google/api/annotations.proto";
message Request {{
  string name = 1;
  repeated string many = 2;
  map<string, string> pairs = 3;
  Inner inner = 4;
  repeated Inner inners = 5;
}}
message Inner {{ string id = 1; }}
service Bad {{
  rpc Call(Request) returns (Request) {{ option (google.api.http) = {{ {rule} }}; }}
}}
"""


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        ('get: "/v1/{nope}"', "has no field nope"),
        ('get: "/v1/{inner.nope}"', "has no field inner.nope"),
        ('get: "/v1/{name.id}"', "has no field name.id"),
        ('get: "/v1/{many}"', "single value"),
        ('get: "/v1/{pairs}"', "single value"),
        ('get: "/v1/{inner}"', "single value"),
        ('get: "/v1/{inners.id}"', "through a list"),
        ('post: "/v1/x" body: "nope"', "has no field 'nope'"),
        ('post: "/v1/x" body: "many"', "repeated"),
        ('post: "/v1/x" body: "pairs"', "repeated"),
        ('post: "/v1/{name}" body: "name"', "bound by the path"),
    ],
)
def test_a_rule_that_cannot_be_served_stops_the_start(
    tmp_path: Path, rule: str, complaint: str
) -> None:
    contract = contract_of(_PROTO.format(rule=rule), tmp_path)
    method = contract.methods[0]
    with pytest.raises(ContractError) as caught:
        RequestBinder(method, method.rules[0], JsonCodecs(contract.pool))
    assert complaint in str(caught.value)
