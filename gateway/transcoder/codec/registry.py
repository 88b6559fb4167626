"""The compiled codecs of a descriptor pool."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jiter
import orjson
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message

from gateway.transcoder.codec import scalars
from gateway.transcoder.codec.decode import FieldDecoder, MessageDecoder, field_decoder
from gateway.transcoder.codec.encode import MessageEncoder, SparseEncoder, value_encoder
from gateway.transcoder.codec.fields import message_of
from gateway.transcoder.codec.interface import JsonError
from gateway.transcoder.codec.mask import mask_paths
from gateway.transcoder.codec.wellknown import well_known

Encode = Callable[[Any], Any]  # message -> JSON value
Decode = Callable[[Any, Any], None]  # JSON value, message


def parse(data: bytes) -> Any:
    """JSON text as Python values; a duplicate key is an error. jiter, because orjson keeps the last."""
    try:
        # Only keys go to jiter's cache: values may be passwords.
        return jiter.from_json(
            data, allow_inf_nan=False, cache_mode="keys", catch_duplicate_keys=True
        )
    except ValueError as exc:
        raise JsonError(f"not valid JSON: {exc}") from exc


class JsonCodecs:
    """Codecs by message type, each compiled at its first use and kept."""

    def __init__(
        self, pool: DescriptorPool, *, short_enums: bool = True, print_defaults: bool = True
    ) -> None:
        self._pool = pool
        self._short_enums = short_enums
        self._print_defaults = print_defaults
        self._encoders: dict[str, Encode] = {}
        self._decoders: dict[str, Decode] = {}

    def message(self, descriptor: Descriptor) -> MessageCodec:
        """The codec of a whole message."""
        return MessageCodec(self, descriptor)

    def field(self, field: FieldDescriptor) -> FieldCodec:
        """The codec of one field's value, seen as a part of its message."""
        return FieldCodec(self, field)

    def scalar_encoder(self, field: FieldDescriptor) -> scalars.Convert | None:
        """To JSON, for a field that is no message; None where the value is JSON already."""
        return scalars.encoder(field, short_enums=self._short_enums)

    def scalar_decoder(self, field: FieldDescriptor) -> scalars.Convert:
        """From JSON, for a field that is no message."""
        return scalars.decoder(field, short_enums=self._short_enums)

    def encoder(self, descriptor: Descriptor) -> Encode:
        """The function from a message of this type to a JSON value."""
        name = descriptor.full_name
        if name not in self._encoders:
            special = well_known(descriptor, self)
            if special is not None:
                self._encoders[name] = special[0]
            else:
                kind = MessageEncoder if self._print_defaults else SparseEncoder
                made = kind()
                # Registered before it is compiled: a message may hold itself.
                self._encoders[name] = made
                made.compile(descriptor, self)
        return self._encoders[name]

    def decoder(self, descriptor: Descriptor) -> Decode:
        """The function from a JSON value into a message of this type."""
        name = descriptor.full_name
        if name not in self._decoders:
            special = well_known(descriptor, self)
            if special is not None:
                self._decoders[name] = special[1]
            else:
                made = MessageDecoder()
                self._decoders[name] = made
                made.compile(descriptor, self)
        return self._decoders[name]

    def new_message(self, type_url: str) -> Any:
        """An empty message of the type that an Any names."""
        try:
            descriptor = self._pool.FindMessageTypeByName(type_url.rpartition("/")[2])
        except KeyError as exc:
            raise JsonError(f"is of an unknown type: {type_url}", "@type") from exc
        return message_factory.GetMessageClass(descriptor)()


class MessageCodec:
    """A Codec of whole messages."""

    def __init__(self, codecs: JsonCodecs, descriptor: Descriptor) -> None:
        self._descriptor = descriptor
        self._encode = codecs.encoder(descriptor)
        self._decode = codecs.decoder(descriptor)

    def encode(self, message: Message) -> bytes:
        """See Codec."""
        return orjson.dumps(self._encode(message))

    def decode(self, data: bytes, message: Message) -> None:
        """See Codec."""
        self._decode(parse(data), message)

    def paths(self, data: bytes) -> list[str]:
        """See Codec."""
        return list(mask_paths(parse(data), self._descriptor))


class FieldCodec:
    """A Codec of one field's value, which is read from and written into its message."""

    def __init__(self, codecs: JsonCodecs, field: FieldDescriptor) -> None:
        self._field = field
        self._name = field.name
        self._encode = value_encoder(field, codecs)
        self._decode: FieldDecoder = field_decoder(field, codecs)

    def encode(self, message: Message) -> bytes:
        """See Codec."""
        value = getattr(message, self._name)
        return orjson.dumps(value if self._encode is None else self._encode(value))

    def decode(self, data: bytes, message: Message) -> None:
        """See Codec."""
        self._decode(parse(data), message)

    def paths(self, data: bytes) -> list[str]:
        """See Codec. Relative to the field."""
        return list(mask_paths(parse(data), message_of(self._field)))
