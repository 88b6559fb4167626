"""buf.validate's rules of a field."""

from __future__ import annotations

from google.protobuf import descriptor_pb2

from buf.validate import validate_pb2


def rules_of(options: descriptor_pb2.FieldOptions | None) -> validate_pb2.FieldRules:
    """The rules of a field; empty where it has none."""
    if options is None:
        return validate_pb2.FieldRules()
    # Parsed again: the options may have been read before this extension was known.
    known = descriptor_pb2.FieldOptions.FromString(options.SerializeToString())
    return known.Extensions[validate_pb2.field]
