"""The JSON codec against google.protobuf.json_format, and where it is stricter on purpose."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from google.protobuf import json_format, message_factory
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.transcoder.codec import JsonCodecs, JsonError
from tests.unit.gateway.sample.contract import new, sample_contract

POOL = sample_contract().pool
EVERYTHING = POOL.FindMessageTypeByName("sample.v1.Everything")
SPEC = JsonCodecs(POOL, short_enums=False).message(EVERYTHING)
SPARSE = JsonCodecs(POOL, short_enums=False, print_defaults=False).message(EVERYTHING)
OURS = JsonCodecs(POOL).message(EVERYTHING)

_TEXT = st.text(max_size=8)
_INT32 = st.integers(-(2**31), 2**31 - 1)
_INT64 = st.integers(-(2**63), 2**63 - 1)
_UINT32 = st.integers(0, 2**32 - 1)
_UINT64 = st.integers(0, 2**64 - 1)
_DOUBLE = st.floats()
_FLOAT = st.floats(width=32)
_COLOUR = st.sampled_from([0, 1, 2, 99, -1])
_SECONDS = st.integers(-62135596800, 253402300799)
_NANOS = st.sampled_from([0, 1, 1000, 999_999_999, 500_000_000, 120_000])


def _message(name: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({}, optional=fields).map(lambda kwargs: new(name, **kwargs))


def _known(name: str, **fields: Any) -> Any:
    made: Any = message_factory.GetMessageClass(
        POOL.FindMessageTypeByName(f"google.protobuf.{name}")
    )
    return made(**fields)


_LEAF: st.SearchStrategy[Any] = _message(
    "Leaf",
    display_name=_TEXT,
    count=_INT32,
    tags=st.lists(_TEXT, max_size=3),
    child=_message("Leaf", count=_INT32),
)


def _value(plain: Any) -> Any:
    value = _known("Value")
    if plain is None:
        value.null_value = 0
    elif isinstance(plain, bool):
        value.bool_value = plain
    elif isinstance(plain, float):
        value.number_value = plain
    elif isinstance(plain, str):
        value.string_value = plain
    elif isinstance(plain, dict):
        value.struct_value.SetInParent()
        for key, item in plain.items():
            value.struct_value.fields[key].CopyFrom(_value(item))
    else:
        value.list_value.SetInParent()
        value.list_value.values.extend(_value(item) for item in plain)
    return value


_PLAIN = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=6,
)
_STRUCT = st.dictionaries(_TEXT, _PLAIN, max_size=3).map(lambda d: _value(d).struct_value)
_TIME = st.builds(lambda s, n: _known("Timestamp", seconds=s, nanos=n), _SECONDS, _NANOS)
_DURATION = st.builds(
    lambda s, n: _known("Duration", seconds=s, nanos=int(math.copysign(n, s))),
    st.integers(-315576000000, 315576000000),
    _NANOS,
)
_PATH = st.from_regex(r"[a-z]{1,3}(_[a-z]{1,3}){0,2}", fullmatch=True)


def _any_of(held: Any) -> Any:
    made = _known("Any", type_url=f"type.googleapis.com/{held.DESCRIPTOR.full_name}")
    made.value = held.SerializeToString()
    return made


_EVERYTHING = _message(
    "Everything",
    f_double=_DOUBLE,
    f_float=_FLOAT,
    f_int32=_INT32,
    f_int64=_INT64,
    f_uint32=_UINT32,
    f_uint64=_UINT64,
    f_sint32=_INT32,
    f_sint64=_INT64,
    f_fixed32=_UINT32,
    f_fixed64=_UINT64,
    f_sfixed32=_INT32,
    f_sfixed64=_INT64,
    f_bool=st.booleans(),
    f_string=_TEXT,
    f_bytes=st.binary(max_size=8),
    f_colour=_COLOUR,
    f_plain=st.sampled_from([0, 1]),
    f_zoom=st.sampled_from([0, 1]),
    o_int32=_INT32,
    o_string=_TEXT,
    o_bool=st.booleans(),
    o_colour=_COLOUR,
    r_double=st.lists(_DOUBLE, max_size=3),
    r_float=st.lists(_FLOAT, max_size=3),
    r_int32=st.lists(_INT32, max_size=3),
    r_int64=st.lists(_INT64, max_size=3),
    r_bool=st.lists(st.booleans(), max_size=3),
    r_string=st.lists(_TEXT, max_size=3),
    r_bytes=st.lists(st.binary(max_size=4), max_size=3),
    r_colour=st.lists(_COLOUR, max_size=3),
    r_leaf=st.lists(_LEAF, max_size=2),
    m_string=st.dictionaries(_TEXT, _TEXT, max_size=3),
    m_int32=st.dictionaries(_INT32, _INT64, max_size=3),
    m_bool=st.dictionaries(st.booleans(), _LEAF, max_size=2),
    m_uint64=st.dictionaries(_UINT64, _COLOUR, max_size=3),
    m_double=st.dictionaries(_TEXT, _DOUBLE, max_size=3),
    leaf=_LEAF,
    w_time=_TIME,
    w_duration=_DURATION,
    w_mask=st.lists(_PATH, max_size=3).map(lambda paths: _known("FieldMask", paths=paths)),
    w_struct=_STRUCT,
    w_value=_PLAIN.map(_value),
    w_list=st.lists(_PLAIN, max_size=3).map(lambda items: _value(items).list_value),
    w_any=(_LEAF | _TIME | _STRUCT | _DURATION).map(_any_of),
    w_empty=st.builds(lambda: _known("Empty")),
    w_bool=st.booleans().map(lambda v: _known("BoolValue", value=v)),
    w_int32=_INT32.map(lambda v: _known("Int32Value", value=v)),
    w_int64=_INT64.map(lambda v: _known("Int64Value", value=v)),
    w_uint32=_UINT32.map(lambda v: _known("UInt32Value", value=v)),
    w_uint64=_UINT64.map(lambda v: _known("UInt64Value", value=v)),
    w_float=_FLOAT.map(lambda v: _known("FloatValue", value=v)),
    w_double=_DOUBLE.map(lambda v: _known("DoubleValue", value=v)),
    w_string=_TEXT.map(lambda v: _known("StringValue", value=v)),
    w_bytes=st.binary(max_size=4).map(lambda v: _known("BytesValue", value=v)),
    rw_time=st.lists(_TIME, max_size=2),
    rw_value=st.lists(_PLAIN.map(_value), max_size=2),
    r_null=st.lists(st.just(0), max_size=2),
    mw_value=st.dictionaries(_TEXT, _PLAIN.map(_value), max_size=2),
    renamed=_TEXT,
)
_WITH_CHOICE = st.builds(
    lambda message, choice: (message.MergeFrom(choice), message)[1],
    _EVERYTHING,
    st.sampled_from(
        [
            {},
            {"c_string": ""},
            {"c_string": "x"},
            {"c_leaf": new("Leaf")},
            {"c_int64": 5},
            {"c_null": 0},
        ]
    ).map(lambda kwargs: new("Everything", **kwargs)),
)


def _oracle(message: Any, *, defaults: bool) -> Any:
    return json_format.MessageToDict(
        message, always_print_fields_with_no_presence=defaults, descriptor_pool=POOL
    )


@settings(max_examples=100, deadline=None)
@given(_WITH_CHOICE)
def test_without_our_option_the_json_is_exactly_the_specifications(message: Any) -> None:
    assert json.loads(SPEC.encode(message)) == _oracle(message, defaults=True)
    assert json.loads(SPARSE.encode(message)) == _oracle(message, defaults=False)


@settings(max_examples=100, deadline=None)
@given(_WITH_CHOICE)
def test_what_json_format_prints_is_read_as_it_was(message: Any) -> None:
    printed = json_format.MessageToJson(message, descriptor_pool=POOL).encode()
    for codec in (SPEC, OURS):
        found = new("Everything")
        codec.decode(printed, found)
        assert _same(found, message)


@settings(max_examples=100, deadline=None)
@given(_WITH_CHOICE)
def test_every_message_survives_our_own_json(message: Any) -> None:
    found = new("Everything")
    OURS.decode(OURS.encode(message), found)
    assert _same(found, message)


def _same(found: Any, wanted: Any) -> bool:
    # Not by ==, for which NaN differs from itself and -0.0 does not from 0.0.
    first, second = (
        json.dumps(_oracle(m, defaults=False), sort_keys=True) for m in (found, wanted)
    )
    return first == second


def _decode(text: str) -> Any:
    found = new("Everything")
    OURS.decode(text.encode(), found)
    return found


@pytest.mark.parametrize(
    ("colour", "name"), [(0, "unspecified"), (1, "red"), (2, "dark_blue"), (99, 99)]
)
def test_an_enum_is_printed_by_its_short_name(colour: int, name: Any) -> None:
    assert json.loads(OURS.encode(new("Everything", f_colour=colour)))["fColour"] == name


def test_short_names_stay_unambiguous() -> None:
    printed = json.loads(OURS.encode(new("Everything", f_plain=1, f_zoom=1)))
    assert printed["fPlain"] == "some"
    assert printed["fZoom"] == "zoom_2x"  # "2x" would look like a number
    for text in ("some", "FEW", "SOME", 1, "1", 1.0):  # an alias is read by its full name
        assert _decode(json.dumps({"fPlain": text})).f_plain == 1


def test_fields_are_printed_at_their_default_but_unset_ones_with_presence_are_not() -> None:
    printed = json.loads(OURS.encode(new("Everything")))
    assert printed["fInt32"] == 0
    assert printed["fInt64"] == "0"
    assert printed["rLeaf"] == []
    assert printed["mString"] == {}
    assert printed["class"] == ""
    assert not {"oInt32", "leaf", "cString", "wTime"} & set(printed)
    assert list(printed)[:3] == ["fDouble", "fFloat", "fInt32"]  # in the proto's order


@pytest.mark.parametrize("value", [3.4028235e38, -3.4028235e38, 3.40282346638e38, 1e-45, 0.1])
def test_extreme_floats_are_read_as_they_are_printed(value: float) -> None:
    message = new("Everything", f_float=value)
    assert _decode(OURS.encode(message).decode()) == message
    # json_format refuses the first of these, which it prints itself
    assert _decode(json.dumps({"fFloat": value})).f_float == message.f_float


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        ('{"fInt32": true}', "fInt32", "whole number"),
        ('{"fInt32": "x"}', "fInt32", "whole number"),
        ('{"fInt32": 1.5}', "fInt32", "whole number"),
        ('{"fInt32": 2147483648}', "fInt32", "between"),
        ('{"fInt64": "9223372036854775808"}', "fInt64", "between"),
        ('{"fInt64": "1e99999999"}', "fInt64", "between"),
        ('{"fInt64": "1e1000000000000000000"}', "fInt64", "between"),
        ('{"fInt64": " 1"}', "fInt64", "whole number"),
        ('{"fUint32": -1}', "fUint32", "between"),
        ('{"fDouble": 1e400}', "fDouble", "too large"),
        ('{"fDouble": "nan"}', "fDouble", "number"),
        ('{"fFloat": 1e39}', "fFloat", "too large"),
        ('{"fBool": "true"}', "fBool", "true or false"),
        ('{"fBool": 1}', "fBool", "true or false"),
        ('{"fString": 1}', "fString", "string"),
        ('{"fString": ["a"]}', "fString", "string"),
        ('{"fBytes": "!"}', "fBytes", "base64"),
        ('{"fBytes": 1}', "fBytes", "base64"),
        ('{"fColour": "green"}', "fColour", "one of"),
        ('{"fColour": true}', "fColour", "whole number"),
        ('{"rInt32": 1}', "rInt32", "array"),
        ('{"rInt32": [1, null]}', "rInt32[1]", "null"),
        ('{"rLeaf": [{"count": "x"}]}', "rLeaf[0].count", "whole number"),
        ('{"mString": []}', "mString", "object"),
        ('{"mString": {"a": null}}', "mString['a']", "null"),
        ('{"mInt32": {"x": 1}}', "mInt32['x']", "whole number"),
        ('{"mInt32": {"1": 1, "1.0": 2}}', "mInt32['1.0']", "twice"),
        ('{"mBool": {"True": {}}}', "mBool['True']", '"true" or "false"'),
        ('{"leaf": []}', "leaf", "object"),
        ('{"leaf": {"nope": 1}}', "leaf.nope", "no such field"),
        ('{"f_int32": 1, "fInt32": 1}', "fInt32", "twice"),
        ('{"cString": "a", "cInt64": 1}', "cInt64", "excludes"),
        ('{"cNull": null, "cInt64": 1}', "cInt64", "excludes"),
        ('{"wTime": 5}', "wTime", "RFC 3339"),
        ('{"wTime": "0000-01-01T00:00:00Z"}', "wTime", "not a time"),
        ('{"wTime": "9999-12-31T23:59:59-01:00"}', "wTime", "not a time"),
        ('{"wDuration": "1"}', "wDuration", "duration"),
        ('{"wDuration": "315576000001s"}', "wDuration", "longer"),
        ('{"wMask": 1}', "wMask", "field paths"),
        ('{"wStruct": []}', "wStruct", "object"),
        ('{"wList": {}}', "wList", "array"),
        ('{"wAny": {"x": 1}}', "wAny.@type", "name its type"),
        ('{"wAny": {"@type": "x/no.Such"}}', "wAny.@type", "unknown type"),
        ('{"wInt32": "x"}', "wInt32", "whole number"),
        ("[]", "", "object"),
        ('{"a": 1', "", "not valid JSON"),
        ('{"fInt32": NaN}', "", "not valid JSON"),
        ('{"fInt32": 1, "fInt32": 2}', "", "duplicate key"),
        ('{"fString": "\\udc00"}', "", "not valid JSON"),
        ("[" * 300 + "]" * 300, "", "not valid JSON"),
        ("", "", "not valid JSON"),
    ],
)
def test_wrong_json_is_refused_with_its_place(text: str, path: Any, reason: str) -> None:
    with pytest.raises(JsonError) as caught:
        _decode(text)
    assert caught.value.path == path
    assert reason in caught.value.reason


def test_a_null_leaves_a_field_unset_but_is_a_value_of_value() -> None:
    found = _decode(
        '{"fInt32": null, "leaf": null, "rInt32": null, "wValue": null, "cString": null}'
    )
    assert not found.HasField("leaf")
    assert found.WhichOneof("choice") is None
    assert found.HasField("w_value")


def test_values_that_json_cannot_say_are_errors_not_guesses() -> None:
    for message in (
        new("Everything", w_time=_known("Timestamp", seconds=2**60)),
        new("Everything", w_duration=_known("Duration", seconds=1, nanos=-1)),
        new("Everything", w_mask=_known("FieldMask", paths=["fooBar"])),
        new("Everything", w_value=_known("Value", number_value=math.inf)),
        new("Everything", w_any=_known("Any", type_url="x/no.Such", value=b"1")),
    ):
        with pytest.raises(JsonError):
            OURS.encode(message)


def test_one_field_can_be_the_whole_document() -> None:
    codecs = JsonCodecs(POOL)
    items = codecs.field(EVERYTHING.fields_by_name["r_leaf"])
    message = new("Everything", r_leaf=[new("Leaf", count=1)])
    assert json.loads(items.encode(message)) == [{"displayName": "", "count": 1, "tags": []}]
    found = new("Everything")
    items.decode(items.encode(message), found)
    assert found == message
