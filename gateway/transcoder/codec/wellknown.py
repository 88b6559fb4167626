"""The messages of google.protobuf that have a JSON form of their own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from gateway.transcoder.codec import times
from gateway.transcoder.codec.interface import JsonError
from gateway.transcoder.codec.scalars import to_double, to_string

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor

    from gateway.transcoder.codec.registry import Decode, Encode, JsonCodecs

WRAPPERS = frozenset(
    f"google.protobuf.{name}Value"
    for name in ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
)
STRUCTURES = frozenset(f"google.protobuf.{name}" for name in ("Struct", "Value", "ListValue"))
ANY = "google.protobuf.Any"
STRINGS = frozenset(f"google.protobuf.{name}" for name in ("Timestamp", "Duration", "FieldMask"))
WELL_KNOWN = WRAPPERS | STRUCTURES | STRINGS | {ANY}


def well_known(descriptor: Descriptor, codecs: JsonCodecs) -> tuple[Encode, Decode] | None:
    """The two functions of a well-known type; None for an ordinary message."""
    name = descriptor.full_name
    if name in WRAPPERS:
        return _wrapper(descriptor, codecs)
    if name == ANY:
        return _any(codecs)
    return {
        "google.protobuf.Timestamp": (times.timestamp_to_json, times.timestamp_from_json),
        "google.protobuf.Duration": (times.duration_to_json, times.duration_from_json),
        "google.protobuf.FieldMask": (times.mask_to_json, times.mask_from_json),
        "google.protobuf.Value": (_value_to_json, _value_from_json),
        "google.protobuf.Struct": (_struct_to_json, _struct_from_json),
        "google.protobuf.ListValue": (_list_to_json, _list_from_json),
    }.get(name)


def _wrapper(descriptor: Descriptor, codecs: JsonCodecs) -> tuple[Encode, Decode]:
    field = descriptor.fields_by_name["value"]
    to_json = codecs.scalar_encoder(field)
    from_json = codecs.scalar_decoder(field)

    def encode(message: Any) -> Any:
        return message.value if to_json is None else to_json(message.value)

    def decode(value: Any, message: Any) -> None:
        message.value = from_json(value)

    return encode, decode


def _value_to_json(message: Any) -> Any:
    kind = message.WhichOneof("kind")
    if kind is None or kind == "null_value":
        return None
    if kind == "struct_value":
        return _struct_to_json(message.struct_value)
    if kind == "list_value":
        return _list_to_json(message.list_value)
    if kind == "number_value" and not math.isfinite(message.number_value):
        raise JsonError("is a number that JSON cannot say")
    return getattr(message, kind)


def _value_from_json(value: Any, message: Any) -> None:
    if value is None:
        message.null_value = 0
    elif isinstance(value, bool):
        message.bool_value = value
    elif isinstance(value, str):
        message.string_value = to_string(value)
    elif isinstance(value, int | float):
        message.number_value = to_double(value)
    elif isinstance(value, dict):
        message.struct_value.SetInParent()
        _struct_from_json(value, message.struct_value)
    else:
        message.list_value.SetInParent()
        _list_from_json(value, message.list_value)


def _struct_to_json(message: Any) -> Any:
    return {key: _value_to_json(value) for key, value in message.fields.items()}


def _struct_from_json(value: Any, message: Any) -> None:
    if not isinstance(value, dict):
        raise JsonError("must be an object")
    for key, item in value.items():
        try:
            _value_from_json(item, message.fields[key])
        except JsonError as exc:
            raise exc.inside(key) from None


def _list_to_json(message: Any) -> Any:
    return [_value_to_json(value) for value in message.values]


def _list_from_json(value: Any, message: Any) -> None:
    if not isinstance(value, list):
        raise JsonError("must be an array")
    for index, item in enumerate(value):
        try:
            _value_from_json(item, message.values.add())
        except JsonError as exc:
            raise exc.inside(f"[{index}]") from None


def _any(codecs: JsonCodecs) -> tuple[Encode, Decode]:
    def encode(message: Any) -> Any:
        if not message.type_url:
            return {}
        held = codecs.new_message(message.type_url)
        held.ParseFromString(message.value)
        value = codecs.encoder(held.DESCRIPTOR)(held)
        if held.DESCRIPTOR.full_name in WELL_KNOWN:
            return {"@type": message.type_url, "value": value}
        return {"@type": message.type_url, **value}

    def decode(value: Any, message: Any) -> None:
        if not isinstance(value, dict):
            raise JsonError("must be an object")
        if not value:
            return
        url = value.get("@type")
        if not isinstance(url, str):
            raise JsonError("must name its type", "@type")
        held = codecs.new_message(url)
        rest = {key: item for key, item in value.items() if key != "@type"}
        if held.DESCRIPTOR.full_name in WELL_KNOWN:
            if set(rest) != {"value"}:
                raise JsonError("must hold @type and value only")
            rest = rest["value"]
        codecs.decoder(held.DESCRIPTOR)(rest, held)
        message.type_url = url
        message.value = held.SerializeToString()

    return encode, decode
