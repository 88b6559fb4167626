"""Messages to JSON values."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.transcoder.codec.fields import is_map, is_message, message_of
from gateway.transcoder.codec.interface import JsonError

if TYPE_CHECKING:
    from gateway.transcoder.codec.registry import JsonCodecs

Convert = Callable[[Any], Any]


def single_encoder(field: FieldDescriptor, codecs: JsonCodecs) -> Convert | None:
    """For one value of the field; None where it is JSON already."""
    if is_message(field):
        return codecs.encoder(message_of(field))
    return codecs.scalar_encoder(field)


def value_encoder(field: FieldDescriptor, codecs: JsonCodecs) -> Convert | None:
    """For the whole value of the field, be it single, repeated or a map."""
    if is_map(field):
        return _map_encoder(field, codecs)
    one = single_encoder(field, codecs)
    if not field.is_repeated:
        return one
    return list if one is None else lambda values: [one(value) for value in values]


def _map_encoder(field: FieldDescriptor, codecs: JsonCodecs) -> Convert:
    key = message_of(field).fields_by_name["key"]
    one = single_encoder(message_of(field).fields_by_name["value"], codecs)
    name: Callable[[Any], str] = str
    if key.type == FieldDescriptor.TYPE_BOOL:
        name = lambda value: "true" if value else "false"  # noqa: E731  # beside the str above
    if one is None:
        return lambda values: {name(k): values[k] for k in values}
    return lambda values: {name(k): one(values[k]) for k in values}


class MessageEncoder:
    """Prints every field at its default too; only what is unset and has presence is left out.

    All fields are fetched by one attrgetter and named by one zip: what is JSON already costs no
    Python call of its own. ``_fixes`` then converts or drops the others.
    """

    def __init__(self) -> None:
        self._keys: tuple[str, ...] = ()
        self._fetch: Callable[[Any], Iterable[Any]] = lambda _: ()
        self._fixes: tuple[tuple[str, Convert], ...] = ()
        self._optional: tuple[tuple[str, str, Convert | None], ...] = ()

    def compile(self, descriptor: Descriptor, codecs: JsonCodecs) -> None:
        """Derives the plan from the descriptor."""
        fields = list(descriptor.fields)
        self._keys = tuple(field.json_name for field in fields)
        self._fetch = _fetcher([field.name for field in fields])
        fixes, optional = [], []
        for field in fields:
            convert = value_encoder(field, codecs)
            if field.has_presence:
                optional.append((field.json_name, field.name, convert))
            elif convert is not None:
                fixes.append((field.json_name, convert))
        self._fixes, self._optional = tuple(fixes), tuple(optional)

    def __call__(self, message: Any) -> dict[str, Any]:
        found = dict(zip(self._keys, self._fetch(message), strict=True))
        key = ""
        try:
            for key, convert in self._fixes:
                found[key] = convert(found[key])
            for key, name, maybe in self._optional:
                if not message.HasField(name):
                    del found[key]
                elif maybe is not None:
                    found[key] = maybe(found[key])
        except JsonError as exc:
            raise exc.inside(key) from None
        return found


def _fetcher(names: list[str]) -> Callable[[Any], Iterable[Any]]:
    if not names:
        return lambda _: ()
    # A name that is a Python keyword is fine here: attrgetter takes any string without a dot.
    fetch = attrgetter(*names)
    return fetch if len(names) > 1 else lambda message: (fetch(message),)


class SparseEncoder:
    """Prints set fields only, as the specification's default."""

    def __init__(self) -> None:
        self._encoders: dict[int, tuple[str, Convert | None]] = {}

    def compile(self, descriptor: Descriptor, codecs: JsonCodecs) -> None:
        """Derives the plan from the descriptor."""
        self._encoders = {
            field.number: (field.json_name, value_encoder(field, codecs))
            for field in descriptor.fields
        }

    def __call__(self, message: Any) -> dict[str, Any]:
        found = {}
        for field, value in message.ListFields():
            key, convert = self._encoders[field.number]
            try:
                found[key] = value if convert is None else convert(value)
            except JsonError as exc:
                raise exc.inside(key) from None
        return found
