"""Query parameters into a request: names from the descriptor, everything else refused."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.transcoder.codec import JsonCodecs, JsonError
from gateway.transcoder.codec.fields import is_map, message_of
from gateway.transcoder.codec.wellknown import ANY, STRUCTURES
from gateway.transcoder.errors import HttpError, invalid, invalid_field
from gateway.transcoder.percent import decode_query
from gateway.transcoder.text import Setter, is_textual, text_setter

_MOST_PARAMETERS = 1000
_WHAT = "query parameter"


@dataclass
class _Parameter:
    field: FieldDescriptor
    setter: Setter | None = None  # for a leaf
    nested: _Parameters | None = None  # for a message with parameters of its own
    refused: str = ""  # why the field cannot be a parameter


@dataclass
class _Parameters:
    """The parameters of one message type, by both names of each field."""

    by_name: dict[str, _Parameter] = field(default_factory=dict)


class QueryBinder:
    """Binds the query parameters of one request type."""

    def __init__(
        self, request: Descriptor, codecs: JsonCodecs, *, excluded: Collection[str] = ()
    ) -> None:
        self._codecs = codecs
        self._known: dict[str, _Parameters] = {}
        root = self._parameters(request)
        kept = {
            name: item for name, item in root.by_name.items() if item.field.name not in excluded
        }
        self._root = _Parameters(kept)

    def _parameters(self, descriptor: Descriptor) -> _Parameters:
        if descriptor.full_name not in self._known:
            made = self._known[descriptor.full_name] = _Parameters()
            for item in descriptor.fields:
                made.by_name[item.name] = self._parameter(item)
            for item in descriptor.fields:
                made.by_name[item.json_name] = made.by_name[item.name]
        return self._known[descriptor.full_name]

    def _parameter(self, item: FieldDescriptor) -> _Parameter:
        if is_map(item):
            return _Parameter(item, refused="a map cannot be given in a query")
        if is_textual(item):
            if item.is_repeated and item.message_type is not None:
                return _Parameter(item, refused="repeated messages cannot be given in a query")
            return _Parameter(item, setter=text_setter(item, self._codecs))
        if item.is_repeated or message_of(item).full_name in STRUCTURES | {ANY}:
            return _Parameter(item, refused="cannot be given in a query")
        return _Parameter(item, nested=self._parameters(message_of(item)))

    def bind(self, query: bytes, message: Any) -> None:
        """Sets what ``query`` says. Raises HttpError 400 naming the parameter."""
        seen: set[str] = set()
        for name, text in _split(query):
            self._bind_one(name, text, message, seen)

    def _bind_one(self, name: str, text: str, message: Any, seen: set[str]) -> None:
        level, target, path = self._root, message, ""
        *outer, last = name.split(".")
        for step in outer:
            parameter = level.by_name.get(step)
            if parameter is None or parameter.nested is None:
                raise self._refusal(name, parameter)
            _exclusive(name, parameter.field, path, seen)
            path = f"{path}{parameter.field.name}."
            target = getattr(target, parameter.field.name)
            target.SetInParent()
            level = parameter.nested
        parameter = level.by_name.get(last)
        if parameter is None or parameter.setter is None:
            raise self._refusal(name, parameter)
        _exclusive(name, parameter.field, path, seen)
        full = path + parameter.field.name
        if full in seen and not parameter.field.is_repeated:
            raise invalid_field(name, "is given more than once", _WHAT)
        seen.add(full)
        try:
            parameter.setter(target, text)
        except JsonError as exc:
            raise invalid_field(name, str(exc), _WHAT) from exc

    def _refusal(self, name: str, parameter: _Parameter | None) -> HttpError:
        if parameter is not None and parameter.refused:
            return invalid_field(name, parameter.refused, _WHAT)
        if parameter is not None and parameter.nested is not None:
            return invalid_field(name, "is an object: give its fields, joined by dots", _WHAT)
        return invalid_field(name, "no such parameter", _WHAT)


def _exclusive(name: str, item: FieldDescriptor, path: str, seen: set[str]) -> None:
    """Two members of one oneof: the second would silently undo the first."""
    oneof = item.containing_oneof
    if oneof is None:
        return
    group = f"{path}{oneof.name}/"
    if any(entry.startswith(group) and entry != group + item.name for entry in seen):
        raise invalid_field(name, "excludes another parameter that is given", _WHAT)
    seen.add(group + item.name)


def _split(query: bytes) -> list[tuple[str, str]]:
    """Names and texts, decoded."""
    if not query:
        return []
    pieces = [piece for piece in query.decode("latin-1").split("&") if piece]
    if len(pieces) > _MOST_PARAMETERS:
        raise invalid(f"the query has more than {_MOST_PARAMETERS} parameters")
    pairs = []
    for piece in pieces:
        raw_name, _, raw_text = piece.partition("=")
        try:
            name = decode_query(raw_name)
            pairs.append((name, decode_query(raw_text)))
        except ValueError as exc:
            raise invalid_field(raw_name, str(exc), _WHAT) from exc
    return pairs


def refuse_all(query: bytes) -> None:
    """For ``body: "*"``: whatever is in the query is one parameter too many."""
    for name, _ in _split(query):
        raise invalid_field(name, "no such parameter: give the field in the body", _WHAT)
