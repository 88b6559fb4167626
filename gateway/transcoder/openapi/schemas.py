"""Message types as schemas, each under its name in the components."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from gateway.transcoder.codec.enums import json_names
from gateway.transcoder.codec.fields import enum_of, is_map, is_message, message_of
from gateway.transcoder.contract import Contract
from gateway.transcoder.openapi.constraints import Schema, constraints, is_required
from gateway.transcoder.rules import rules_of

_F = FieldDescriptor
_INT32: Schema = {"type": "integer", "format": "int32"}
_UINT32: Schema = {"type": "integer", "minimum": 0, "maximum": 2**32 - 1}
_INT64: Schema = {"type": "string", "format": "int64", "pattern": "^-?[0-9]+$"}
_UINT64: Schema = {"type": "string", "format": "uint64", "pattern": "^[0-9]+$"}
_SCALARS: dict[int, Schema] = {
    _F.TYPE_DOUBLE: {"type": "number", "format": "double"},
    _F.TYPE_FLOAT: {"type": "number", "format": "float"},
    _F.TYPE_BOOL: {"type": "boolean"},
    _F.TYPE_STRING: {"type": "string"},
    _F.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
    _F.TYPE_INT32: _INT32,
    _F.TYPE_SINT32: _INT32,
    _F.TYPE_SFIXED32: _INT32,
    _F.TYPE_UINT32: _UINT32,
    _F.TYPE_FIXED32: _UINT32,
    _F.TYPE_INT64: _INT64,
    _F.TYPE_SINT64: _INT64,
    _F.TYPE_SFIXED64: _INT64,
    _F.TYPE_UINT64: _UINT64,
    _F.TYPE_FIXED64: _UINT64,
}
_WELL_KNOWN: dict[str, Schema] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$"},
    "google.protobuf.FieldMask": {"type": "string", "description": "Comma-separated field paths."},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.Value": {},
    "google.protobuf.ListValue": {"type": "array", "items": {}},
    "google.protobuf.Empty": {"type": "object", "maxProperties": 0},
    "google.protobuf.Any": {
        "type": "object",
        "properties": {"@type": {"type": "string"}},
        "required": ["@type"],
    },
    "google.protobuf.StringValue": {"type": "string"},
    "google.protobuf.BytesValue": {"type": "string", "contentEncoding": "base64"},
    "google.protobuf.BoolValue": {"type": "boolean"},
    "google.protobuf.DoubleValue": _SCALARS[_F.TYPE_DOUBLE],
    "google.protobuf.FloatValue": _SCALARS[_F.TYPE_FLOAT],
    "google.protobuf.Int32Value": _SCALARS[_F.TYPE_INT32],
    "google.protobuf.UInt32Value": _SCALARS[_F.TYPE_UINT32],
    "google.protobuf.Int64Value": _SCALARS[_F.TYPE_INT64],
    "google.protobuf.UInt64Value": _SCALARS[_F.TYPE_UINT64],
    "google.api.HttpBody": {"contentMediaType": "application/octet-stream"},
}


class Schemas:
    """Collects the schemas that a document refers to."""

    def __init__(self, contract: Contract, answered: set[str], asked: set[str]) -> None:
        """``answered`` and ``asked`` name the messages that responses and requests hold."""
        self._contract = contract
        self._always_whole = answered - asked
        self.components: dict[str, Schema] = {}

    def message(self, descriptor: Descriptor) -> Schema:
        """A schema that stands for the message: a reference, or a well-known type's own."""
        if descriptor.full_name in _WELL_KNOWN:
            return dict(_WELL_KNOWN[descriptor.full_name])
        name = component_name(descriptor)
        if name not in self.components:
            self.components[name] = {}  # before it is made: a message may hold itself
            self.components[name] = self.object(descriptor)
        return {"$ref": f"#/components/schemas/{name}"}

    def object(self, descriptor: Descriptor, without: frozenset[str] = frozenset()) -> Schema:
        """The message's own schema, without the fields that are given elsewhere."""
        fields = [field for field in descriptor.fields if field.name not in without]
        made: Schema = {
            "type": "object",
            "properties": {field.json_name: self.field(field) for field in fields},
        }
        if descriptor.full_name in self._always_whole:
            required = [field.json_name for field in fields if not field.has_presence]
        else:
            required = [field.json_name for field in fields if self.required(field)]
        if required:
            made["required"] = required
        return self._described(made, descriptor.full_name)

    def required(self, field: FieldDescriptor) -> bool:
        """Whether a request without the field is refused."""
        return is_required(rules_of(self._contract.field_options.get(field.full_name)))

    def field(self, field: FieldDescriptor) -> Schema:
        """The field's value with its rules and its comment."""
        rules = rules_of(self._contract.field_options.get(field.full_name))
        if is_map(field):
            value = message_of(field).fields_by_name["value"]
            made: Schema = {"type": "object", "additionalProperties": self._single(value)}
        elif field.is_repeated:
            items = {**self._single(field), **constraints(field, rules.repeated.items)}
            made = {"type": "array", "items": items}
        else:
            made = self._single(field)
        made |= constraints(field, rules)
        return self._described(made, field.full_name)

    def _single(self, field: FieldDescriptor) -> Schema:
        if is_message(field):
            return self.message(message_of(field))
        if field.type == _F.TYPE_ENUM:
            return self._enum(enum_of(field))
        return dict(_SCALARS[field.type])

    def _enum(self, enum: EnumDescriptor) -> Schema:
        if enum.full_name == "google.protobuf.NullValue":
            return {"type": "null"}
        return {"type": "string", "enum": list(json_names(enum, short=True).values())}

    def _described(self, schema: Schema, full_name: str) -> Schema:
        comment = self._contract.comments.get(full_name)
        if comment:
            schema["description"] = comment
        return schema


def component_name(descriptor: Descriptor) -> str:
    """Without the package's dots: ``GetItemRequest``, ``Outer.Inner``."""
    prefix = descriptor.file.package
    return str(descriptor.full_name).removeprefix(f"{prefix}.") if prefix else descriptor.full_name


def reachable(descriptor: Descriptor, found: set[str]) -> set[str]:
    """Adds the full names of the message and of all that it can hold."""
    if descriptor.full_name not in found:
        found.add(descriptor.full_name)
        for field in descriptor.fields:
            if is_message(field):
                reachable(message_of(field), found)
    return found


def status_schema() -> Schema:
    """google.rpc.Status as JSON, the shape of every error."""
    details: dict[str, Any] = {
        "type": "array",
        "description": "google.rpc.ErrorInfo always; BadRequest, RetryInfo and others where they apply.",
        "items": _WELL_KNOWN["google.protobuf.Any"],
    }
    return {
        "type": "object",
        "description": "An error, as google.rpc.Status.",
        "properties": {
            "code": {"type": "integer", "description": "The google.rpc.Code."},
            "message": {"type": "string", "description": "What is wrong, for people."},
            "details": details,
        },
        "required": ["code", "message", "details"],
    }
