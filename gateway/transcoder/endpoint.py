"""One HTTP binding of an RPC, with everything that can be worked out before a request comes."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.transcoder.binding import HTTP_BODY, RequestBinder
from gateway.transcoder.codec import Codec, JsonCodecs
from gateway.transcoder.contract import HttpRule, Method
from gateway.transcoder.errors import ContractError, unsupported_media_type
from gateway.transcoder.exchange import Exchange
from gateway.transcoder.metadata import call_metadata, deadline, default_deadline
from gateway.transcoder.options import TranscoderOptions
from protos.options.v1 import options_pb2

JSON = "application/json"
NDJSON = "application/x-ndjson"


class Endpoint:
    """Compiled from a method, one of its rules and the channel of its service."""

    def __init__(
        self,
        method: Method,
        rule: HttpRule,
        codecs: JsonCodecs,
        channel: grpc.aio.Channel,
        options: TranscoderOptions,
    ) -> None:
        self.method = method
        self.rule = rule
        self.options = options
        self.binder = RequestBinder(method, rule, codecs)
        self.raw_response = _raw_response(method.response, rule)
        self.codec: Codec = _response_codec(method.response, rule, codecs)
        self.start = _multicallable(method, channel)
        self.etag = _getter(method.response, method.options.etag_field, method)
        self.caching = _cache_headers(method, rule)
        self._deadline = default_deadline(method, options)
        self._channel = channel
        holds_bytes = self.binder.raw_body is None and _holds_bytes(method.request, set())
        self._body_limit = options.json_content_limit if holds_bytes else options.json_limit
        self._waits = method.descriptor.server_streaming and self.raw_response is None

    def __str__(self) -> str:
        return self.method.full_name

    async def begin(self, exchange: Exchange, request: Any) -> Any:
        """Starts the call; ``request`` is a message, or None where the client streams."""
        metadata = await call_metadata(exchange, self.options)
        timeout = deadline(exchange, self._deadline, self.options)
        if self._waits:
            await _connected(self._channel, self.options.connect_wait)
        if request is None:
            length = exchange.content_length()
            if length is not None:
                metadata.append(("x-content-length", str(length)))
            return self.start(metadata=metadata, timeout=timeout)
        return self.start(request, metadata=metadata, timeout=timeout)

    async def read_request(self, exchange: Exchange, values: list[str]) -> Any:
        """The request message of a call that takes one."""
        body = await exchange.body(self._body_limit)
        if self.binder.raw_body is not None:
            message = self.binder.bind(values, exchange.query, b"", exchange.header)
            content = http_body(message, self.binder.raw_body)
            content.content_type = raw_content_type(exchange)
            content.data = body
            return message
        if body:
            body = self._checked_json(exchange, body)
        return self.binder.bind(values, exchange.query, body, exchange.header)

    def _checked_json(self, exchange: Exchange, body: bytes) -> bytes:
        if not self.binder.takes_body:
            if body.strip() not in (b"", b"{}"):
                raise unsupported_media_type(
                    exchange.header(b"content-type") or "", "no body: the URL says it all"
                )
            return b""
        kind, _, parameters = (exchange.header(b"content-type") or "").partition(";")
        kind = kind.strip().lower()
        if kind != JSON and not (kind.startswith("application/") and kind.endswith("+json")):
            if not body.strip():
                return b""
            raise unsupported_media_type(kind, JSON)
        charset = parameters.replace(" ", "").replace('"', "").lower()
        if charset.startswith("charset=") and charset not in ("charset=utf-8", "charset=utf8"):
            raise unsupported_media_type(f"{kind};{parameters}", f"{JSON} in UTF-8")
        refuse_encoding(exchange)
        return body if body.strip() else b""


async def _connected(channel: grpc.aio.Channel, seconds: float) -> None:
    """Waits for a peer that is restarting. Where it does not come back the call itself says so."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            state = channel.get_state(try_to_connect=True)
            while state != grpc.ChannelConnectivity.READY:
                await channel.wait_for_state_change(state)
                state = channel.get_state(try_to_connect=True)


def refuse_encoding(exchange: Exchange) -> None:
    """Compressed bodies are not taken: their size is unknown until it is too late."""
    encoding = exchange.header(b"content-encoding")
    if encoding and encoding.strip().lower() != "identity":
        raise unsupported_media_type(f"(Content-Encoding: {encoding})", "it uncompressed")


def raw_content_type(exchange: Exchange) -> str:
    """The media type of a body of bytes. A form around the file is no file."""
    refuse_encoding(exchange)
    kind = exchange.header(b"content-type") or "application/octet-stream"
    if kind.lower().startswith("multipart/"):
        raise unsupported_media_type(kind, "the bytes of the file themselves")
    return kind


def http_body(message: Any, path: tuple[str, ...]) -> Any:
    """The HttpBody inside a message."""
    return functools.reduce(getattr, path, message)


def _multicallable(method: Method, channel: grpc.aio.Channel) -> Callable[..., Any]:
    """The call's starter, made once: grpc looks methods up by name when it is made."""
    descriptor = method.descriptor
    response = message_factory.GetMessageClass(method.response)
    make: Any = {
        (False, False): channel.unary_unary,
        (False, True): channel.unary_stream,
        (True, False): channel.stream_unary,
        (True, True): channel.stream_stream,
    }[descriptor.client_streaming, descriptor.server_streaming]
    request: Any = message_factory.GetMessageClass(method.request)
    found: Callable[..., Any] = make(
        method.path,
        request_serializer=request.SerializeToString,
        response_deserializer=response.FromString,
    )
    return found


def _response_codec(response: Descriptor, rule: HttpRule, codecs: JsonCodecs) -> Codec:
    if not rule.response_body:
        return codecs.message(response)
    field = response.fields_by_name.get(rule.response_body)
    if field is None:
        raise ContractError(
            f"response_body: {response.full_name} has no field {rule.response_body!r}"
        )
    return codecs.field(field)


def _holds_bytes(message: Descriptor, seen: set[str]) -> bool:
    """Whether a message has a field of bytes somewhere, which JSON makes a third longer."""
    if message.full_name in seen:
        return False
    seen.add(message.full_name)
    return any(
        field.type == FieldDescriptor.TYPE_BYTES
        or (field.message_type is not None and _holds_bytes(field.message_type, seen))
        for field in message.fields
    )


def _raw_response(response: Descriptor, rule: HttpRule) -> tuple[str, ...] | None:
    """Where in the response the HttpBody is whose bytes are the answer."""
    if not rule.response_body:
        return () if response.full_name == HTTP_BODY else None
    field = response.fields_by_name.get(rule.response_body)
    kind = None if field is None or field.is_repeated else field.message_type
    return (rule.response_body,) if kind is not None and kind.full_name == HTTP_BODY else None


def _getter(response: Descriptor, name: str, method: Method) -> Callable[[Any], Any] | None:
    if not name:
        return None
    if name not in response.fields_by_name:
        raise ContractError(f"{method.full_name}: etag_field: no field {name!r} in the response")
    return attrgetter(name)


def _cache_headers(method: Method, rule: HttpRule) -> tuple[tuple[bytes, bytes], ...]:
    """Answers are for the one who asked; only what has an ETag may be kept, and is asked for again."""
    public_read = method.options.access == options_pb2.ACCESS_PUBLIC and rule.verb == "GET"
    if method.options.etag_field and rule.verb == "GET":
        value = b"no-cache" if public_read else b"private, no-cache"
    else:
        value = b"no-cache" if public_read else b"no-store"
    return ((b"cache-control", value), (b"x-content-type-options", b"nosniff"))
