"""The field-mask paths that a JSON object sets, for a PATCH that names no mask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor

from gateway.transcoder.codec.fields import is_message, message_of
from gateway.transcoder.codec.wellknown import WELL_KNOWN


def mask_paths(value: Any, descriptor: Descriptor) -> Iterator[str]:
    """Paths of leaves in proto names. Lists, maps and well-known types count as whole fields."""
    if not isinstance(value, dict):
        return
    fields = {field.json_name: field for field in descriptor.fields}
    fields.update({field.name: field for field in descriptor.fields})
    for key, item in value.items():
        field = fields.get(key)
        if field is None:
            continue  # the decoder has refused it, or will
        nested = (
            is_message(field)
            and not field.is_repeated
            and message_of(field).full_name not in WELL_KNOWN
        )
        if nested and isinstance(item, dict) and item:
            yield from (f"{field.name}.{path}" for path in mask_paths(item, message_of(field)))
        else:
            yield field.name
