"""Field values written as text: in a path, in a query string, in a header."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.transcoder.codec import JsonCodecs, JsonError
from gateway.transcoder.codec.fields import message_of
from gateway.transcoder.codec.wellknown import STRINGS, WRAPPERS

Setter = Callable[[Any, str], None]  # the message that holds the field, the text

_BOOLS = {"true": True, "1": True, "false": False, "0": False}


def is_textual(field: FieldDescriptor) -> bool:
    """Whether one value of the field can be written as text."""
    if field.type == FieldDescriptor.TYPE_GROUP:
        return False
    if field.type != FieldDescriptor.TYPE_MESSAGE:
        return True
    return message_of(field).full_name in STRINGS | WRAPPERS


def text_setter(field: FieldDescriptor, codecs: JsonCodecs) -> Setter:
    """What sets (or, where the field is repeated, appends to) the field; it raises JsonError."""
    name = field.name
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        return _message_setter(name, message_of(field), codecs)
    convert = _scalar(field, codecs)
    if field.is_repeated:
        return lambda message, text: getattr(message, name).append(convert(text))
    return lambda message, text: setattr(message, name, convert(text))


def _message_setter(name: str, descriptor: Descriptor, codecs: JsonCodecs) -> Setter:
    if descriptor.full_name in WRAPPERS:
        convert = _scalar(descriptor.fields_by_name["value"], codecs)

        def set_wrapped(message: Any, text: str) -> None:
            held = getattr(message, name)
            held.SetInParent()
            held.value = convert(text)

        return set_wrapped
    decode = codecs.decoder(descriptor)

    def set_message(message: Any, text: str) -> None:
        held = getattr(message, name)
        held.SetInParent()
        decode(text, held)

    return set_message


def _scalar(field: FieldDescriptor, codecs: JsonCodecs) -> Callable[[str], Any]:
    if field.type == FieldDescriptor.TYPE_STRING:
        return str
    if field.type == FieldDescriptor.TYPE_BOOL:
        return _bool
    # The others read strings in JSON too: numbers, base64, the names of an enum.
    return codecs.scalar_decoder(field)


def _bool(text: str) -> bool:
    if text not in _BOOLS:
        raise JsonError("must be true or false")
    return _BOOLS[text]
