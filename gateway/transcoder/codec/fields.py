"""What a field descriptor says, with its types narrowed."""

from __future__ import annotations

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor


def is_message(field: FieldDescriptor) -> bool:
    """Whether the field's single value is a message."""
    return field.type in (FieldDescriptor.TYPE_MESSAGE, FieldDescriptor.TYPE_GROUP)


def is_map(field: FieldDescriptor) -> bool:
    """Whether the field is a map."""
    return field.is_repeated and is_message(field) and message_of(field).GetOptions().map_entry


def message_of(field: FieldDescriptor) -> Descriptor:
    """The type of a message field."""
    assert field.message_type is not None, f"{field.full_name} is no message"
    return field.message_type


def enum_of(field: FieldDescriptor) -> EnumDescriptor:
    """The type of an enum field."""
    assert field.enum_type is not None, f"{field.full_name} is no enum"
    return field.enum_type


def type_name(field: FieldDescriptor) -> str:
    """The full name of the field's message or enum; empty for another scalar."""
    kind = field.message_type or field.enum_type
    return "" if kind is None else kind.full_name
