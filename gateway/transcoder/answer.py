"""Answers of one message: JSON, or bytes where the message is an HttpBody."""

from __future__ import annotations

import hashlib
import re
from typing import Any
from urllib.parse import quote

from gateway.transcoder.endpoint import Endpoint, http_body
from gateway.transcoder.exchange import Exchange
from gateway.transcoder.metadata import response_headers

_JSON = (b"content-type", b"application/json")
_ETAG = re.compile(r"[\x21\x23-\x7e]+")
_MEDIA_TYPE = re.compile(r"[\x20-\x7e]+")
_UNQUOTED = re.compile(r'[^\x20-\x7e]|["\\%]')

Headers = list[tuple[bytes, bytes]]


async def serve_unary(endpoint: Endpoint, exchange: Exchange, values: list[str]) -> None:
    """One message in, one out."""
    request = await endpoint.read_request(exchange, values)
    call = await endpoint.begin(exchange, request)
    response = await call
    headers = response_headers(await call.initial_metadata(), b"grpc-metadata-")
    headers += response_headers(await call.trailing_metadata(), b"grpc-trailer-")
    await answer_message(endpoint, exchange, request, response, headers)


async def answer_message(
    endpoint: Endpoint, exchange: Exchange, request: Any, response: Any, headers: Headers
) -> None:
    """Writes the response with its validators."""
    if endpoint.raw_response is not None:
        body = http_body(response, endpoint.raw_response)
        name = file_name(endpoint, request)
        await exchange.answer(200, headers + file_headers(body.content_type, name), body.data)
        return
    headers += endpoint.caching
    if endpoint.etag is not None:
        tag = entity_tag(endpoint.etag(response))
        if tag is not None:
            headers.append((b"etag", tag.encode()))
            if exchange.method in ("GET", "HEAD") and _known(exchange, tag):
                await exchange.answer(304, headers)
                return
    await exchange.answer(200, [_JSON, *headers], endpoint.codec.encode(response))


def entity_tag(value: Any) -> str | None:
    """The value as a strong ETag; None where it is unset."""
    text = str(value)
    if not text:
        return None
    if not _ETAG.fullmatch(text):
        text = hashlib.sha256(text.encode()).hexdigest()
    return f'"{text}"'


def _known(exchange: Exchange, tag: str) -> bool:
    """If-None-Match, compared weakly as RFC 9110 wants it."""
    given = exchange.header(b"if-none-match")
    if given is None:
        return False
    return given.strip() == "*" or tag in (
        item.strip().removeprefix("W/") for item in given.split(",")
    )


def file_name(endpoint: Endpoint, request: Any) -> str:
    """The last segment of the field that names the file, or of the next best one; empty where there is none."""
    stream = endpoint.method.options.byte_stream
    for field in (stream.file_name_field, stream.fallback_name_field):
        if field and (value := str(getattr(request, field))):
            return value.rpartition("/")[2] + stream.file_name_suffix
    return ""


def file_headers(content_type: str, name: str) -> Headers:
    """For bytes that a user wrote: never to be sniffed, rendered or scripted on this origin."""
    kind = content_type if _MEDIA_TYPE.fullmatch(content_type) else "application/octet-stream"
    return [
        (b"content-type", kind.encode()),
        (b"content-disposition", disposition(name).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"content-security-policy", b"sandbox"),
        (b"cache-control", b"no-store"),
    ]


def disposition(name: str) -> str:
    """RFC 6266: a plain name for old clients, the exact one in UTF-8 beside it where they differ."""
    if not name:
        return "attachment"
    plain = _UNQUOTED.sub("_", name)
    exact = f"; filename*=UTF-8''{quote(name, safe='')}" if plain != name else ""
    return f'attachment; filename="{plain}"{exact}'
