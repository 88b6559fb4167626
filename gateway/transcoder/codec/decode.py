"""JSON values into messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.transcoder.codec.fields import is_map, is_message, message_of, type_name
from gateway.transcoder.codec.interface import JsonError
from gateway.transcoder.rules import rules_of

if TYPE_CHECKING:
    from gateway.transcoder.codec.registry import JsonCodecs

FieldDecoder = Callable[[Any, Any], None]  # JSON value, the message that holds the field

_KEPT_NULL = ("google.protobuf.Value", "google.protobuf.NullValue")


class MessageDecoder:
    """Reads an object: unknown and repeated names are errors, null leaves a field unset."""

    def __init__(self) -> None:
        self._fields: dict[str, tuple[FieldDescriptor, FieldDecoder]] = {}

    def compile(self, descriptor: Descriptor, codecs: JsonCodecs) -> None:
        """Derives the plan from the descriptor."""
        for field in descriptor.fields:
            entry = (field, field_decoder(field, codecs))
            self._fields[field.name] = entry
        for field in descriptor.fields:
            self._fields[field.json_name] = self._fields[field.name]

    def __call__(self, value: Any, message: Any) -> None:
        if not isinstance(value, dict):
            raise JsonError("must be an object")
        seen: set[str] = set()
        for key, item in value.items():
            entry = self._fields.get(key)
            if entry is None:
                raise JsonError("no such field", key)
            field, decode = entry
            try:
                _once(field, item, seen)
                decode(item, message)
            except JsonError as exc:
                raise exc.inside(field.json_name) from None


def _once(field: FieldDescriptor, item: Any, seen: set[str]) -> None:
    if field.name in seen:
        raise JsonError("is given twice, under both of its names")
    seen.add(field.name)
    oneof = field.containing_oneof
    if oneof is not None and (item is not None or _keeps_null(field)):
        # A slash cannot be part of a field's name, so the two kinds of entry do not meet.
        if f"/{oneof.name}" in seen:
            raise JsonError(f"excludes another field that is given: one of {_members(oneof)}")
        seen.add(f"/{oneof.name}")


def _members(oneof: Any) -> str:
    return ", ".join(field.json_name for field in oneof.fields)


def _keeps_null(field: FieldDescriptor) -> bool:
    return type_name(field) in _KEPT_NULL


def field_decoder(field: FieldDescriptor, codecs: JsonCodecs) -> FieldDecoder:
    """The function that reads the field's value into the message that holds it."""
    if is_map(field):
        inner = _map_decoder(field, codecs)
    elif field.is_repeated:
        inner = _list_decoder(field, codecs)
    elif is_message(field):
        inner = _message_decoder(field, codecs)
    else:
        inner = _scalar_decoder(field, codecs)
    if not field.is_repeated and _keeps_null(field):
        return inner

    def decode(value: Any, message: Any) -> None:
        if value is not None:
            inner(value, message)

    return decode


def _scalar_decoder(field: FieldDescriptor, codecs: JsonCodecs) -> FieldDecoder:
    name, one = field.name, codecs.scalar_decoder(field)
    if _keeps_null(field):
        return lambda value, message: setattr(message, name, 0 if value is None else one(value))
    return lambda value, message: setattr(message, name, one(value))


def _message_decoder(field: FieldDescriptor, codecs: JsonCodecs) -> FieldDecoder:
    name, one = field.name, codecs.decoder(message_of(field))

    def decode(value: Any, message: Any) -> None:
        held = getattr(message, name)
        held.SetInParent()
        one(value, held)

    return decode


def _list_decoder(field: FieldDescriptor, codecs: JsonCodecs) -> FieldDecoder:
    name = field.name
    put = _appender(field, codecs)
    nullable = _keeps_null(field)
    # The service would refuse more as well, but only after all of it has been decoded here.
    most = rules_of(field.GetOptions()).repeated.max_items

    def decode(value: Any, message: Any) -> None:
        if not isinstance(value, list):
            raise JsonError("must be an array")
        if most and len(value) > most:
            raise JsonError(f"must contain no more than {most} item(s)")
        target = getattr(message, name)
        for index, item in enumerate(value):
            try:
                if item is None and not nullable:
                    raise JsonError("must not be null")
                put(item, target)
            except JsonError as exc:
                raise exc.inside(f"[{index}]") from None

    return decode


def _appender(field: FieldDescriptor, codecs: JsonCodecs) -> Callable[[Any, Any], None]:
    if is_message(field):
        decode = codecs.decoder(message_of(field))
        return lambda item, target: decode(item, target.add())
    one = codecs.scalar_decoder(field)
    if _keeps_null(field):
        return lambda item, target: target.append(0 if item is None else one(item))
    return lambda item, target: target.append(one(item))


def _map_decoder(field: FieldDescriptor, codecs: JsonCodecs) -> FieldDecoder:
    name = field.name
    entry = message_of(field).fields_by_name
    key_of = _key_decoder(entry["key"], codecs)
    put = _putter(entry["value"], codecs)
    nullable = _keeps_null(entry["value"])

    def decode(value: Any, message: Any) -> None:
        if not isinstance(value, dict):
            raise JsonError("must be an object")
        target = getattr(message, name)
        for text, item in value.items():
            try:
                key = key_of(text)
                if key in target:
                    raise JsonError("is given twice")
                if item is None and not nullable:
                    raise JsonError("must not be null")
                put(item, target, key)
            except JsonError as exc:
                raise exc.inside(f"[{text!r}]") from None

    return decode


def _key_decoder(field: FieldDescriptor, codecs: JsonCodecs) -> Callable[[str], Any]:
    if field.type == FieldDescriptor.TYPE_BOOL:
        words = {"true": True, "false": False}

        def decode(text: str) -> bool:
            if text not in words:
                raise JsonError('must be "true" or "false"')
            return words[text]

        return decode
    return codecs.scalar_decoder(field)


def _putter(field: FieldDescriptor, codecs: JsonCodecs) -> Callable[[Any, Any, Any], None]:
    if is_message(field):
        decode = codecs.decoder(message_of(field))

        def put_message(item: Any, target: Any, key: Any) -> None:
            decode(item, target.get_or_create(key))

        return put_message
    one = codecs.scalar_decoder(field)
    null_is_zero = _keeps_null(field)

    def put(item: Any, target: Any, key: Any) -> None:
        target[key] = 0 if null_is_zero and item is None else one(item)

    return put
