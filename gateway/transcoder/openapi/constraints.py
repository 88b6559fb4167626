"""buf.validate's rules as JSON Schema keywords. A rule that JSON Schema cannot say is left to the prose."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from buf.validate import validate_pb2
from gateway.transcoder.codec.enums import json_names
from gateway.transcoder.codec.fields import enum_of

Schema = dict[str, Any]

_FORMATS = {
    "email": "email",
    "hostname": "hostname",
    "ipv4": "ipv4",
    "ipv6": "ipv6",
    "uri": "uri",
    "uri_ref": "uri-reference",
    "uuid": "uuid",
}
_BOUNDS = {"gt": "exclusiveMinimum", "gte": "minimum", "lt": "exclusiveMaximum", "lte": "maximum"}


def constraints(field: FieldDescriptor, rules: validate_pb2.FieldRules) -> Schema:
    """The keywords for one value of the field, or for the whole of a list or map."""
    kind = rules.WhichOneof("type")
    if kind is None:
        return {}
    found: Any = getattr(rules, kind)
    if kind == "string":
        return _string(found)
    if kind == "bytes":
        return {"maxLength": -(-found.max_len // 3) * 4} if found.HasField("max_len") else {}
    if kind == "enum":
        return _enum(field, found)
    if kind == "repeated":
        return _set(found, min_items="minItems", max_items="maxItems", unique="uniqueItems")
    if kind == "map":
        return _set(found, min_pairs="minProperties", max_pairs="maxProperties")
    return _number(found) if kind in _NUMBERS else {}


_NUMBERS = frozenset(
    ("double", "float", "int32", "uint32", "sint32", "fixed32", "sfixed32")
)  # 64-bit integers are strings in JSON


def is_required(rules: validate_pb2.FieldRules) -> bool:
    """Whether leaving the field out is refused."""
    if rules.required:
        return True
    kind = rules.WhichOneof("type")
    if kind == "string":
        return rules.string.min_len > 0 or rules.string.len > 0 or rules.string.email
    return kind == "repeated" and rules.repeated.min_items > 0


def _set(rules: Any, **keywords: str) -> Schema:
    return {
        keyword: getattr(rules, name) for name, keyword in keywords.items() if rules.HasField(name)
    }


def _string(rules: validate_pb2.StringRules) -> Schema:
    found = _set(rules, min_len="minLength", max_len="maxLength", pattern="pattern", const="const")
    if rules.HasField("len"):
        found["minLength"] = found["maxLength"] = rules.len
    if rules.HasField("max_bytes"):
        # A character has at least one byte, so this holds of every valid value.
        found.setdefault("maxLength", rules.max_bytes)
    allowed = list(getattr(rules, "in"))
    if allowed:
        found["enum"] = allowed
    known = rules.WhichOneof("well_known")
    if known in _FORMATS:
        found["format"] = _FORMATS[known]
    return found


def _number(rules: Any) -> Schema:
    found = _set(rules, const="const")
    for name, keyword in _BOUNDS.items():
        if name in rules.DESCRIPTOR.fields_by_name and rules.HasField(name):
            found[keyword] = getattr(rules, name)
    allowed = list(getattr(rules, "in"))
    return {**found, "enum": allowed} if allowed else found


def _enum(field: FieldDescriptor, rules: validate_pb2.EnumRules) -> Schema:
    names = json_names(enum_of(field), short=True)
    allowed = list(getattr(rules, "in")) or [n for n in names if n not in set(rules.not_in)]
    return {"enum": [names[number] for number in sorted(allowed) if number in names]}
