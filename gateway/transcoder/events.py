"""How a stream of messages is written: server-sent events, lines of JSON, or one JSON array."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Protocol

from gateway.transcoder.codec import Codec
from gateway.transcoder.contract import Method
from gateway.transcoder.endpoint import JSON, NDJSON
from gateway.transcoder.errors import ContractError

EVENT_STREAM = "text/event-stream"
_LINE_BREAK = re.compile(r"[\r\n\0]")


class Writer(Protocol):
    """The bytes of one stream, piece by piece. An empty piece is not written."""

    content_type: str
    heartbeat: bytes

    def head(self, reconnect: float) -> bytes: ...
    def item(self, message: Any) -> bytes: ...
    def error(self, status: bytes) -> bytes: ...
    def tail(self) -> bytes: ...
    def goodbye(self, reconnect: float) -> bytes: ...


class EventShape:
    """Which parts of a message become the event's id and name, from the method's options."""

    def __init__(self, method: Method) -> None:
        options, response = method.options.event_stream, method.response
        self._id = options.id_field
        self._oneof = options.name_oneof
        if self._id and self._id not in response.fields_by_name:
            raise ContractError(f"{method.full_name}: id_field: no field {self._id!r}")
        if self._oneof and self._oneof not in response.oneofs_by_name:
            raise ContractError(f"{method.full_name}: name_oneof: no oneof {self._oneof!r}")

    def prefix(self, message: Any) -> str:
        """The lines before ``data:``."""
        lines = ""
        if self._id:
            value = str(getattr(message, self._id))
            if value and not _LINE_BREAK.search(value):
                lines = f"id: {value}\n"
        if self._oneof:
            name = message.WhichOneof(self._oneof)
            if name is not None:
                lines += f"event: {name}\n"
        return lines


class SseWriter:
    """https://html.spec.whatwg.org/multipage/server-sent-events.html"""

    content_type = EVENT_STREAM
    heartbeat = b": heartbeat\n\n"

    def __init__(self, codec: Codec, shape: EventShape) -> None:
        self._encode = codec.encode
        self._prefix = shape.prefix

    def head(self, reconnect: float) -> bytes:
        """A comment, so that the client and every proxy see that the stream is open, and when to come back."""
        return b": open\nretry: %d\n\n" % int(reconnect * 1000)

    def item(self, message: Any) -> bytes:
        """One event."""
        return self._prefix(message).encode() + b"data: " + self._encode(message) + b"\n\n"

    def error(self, status: bytes) -> bytes:
        """An event named error that holds the status."""
        return b"event: error\ndata: " + status + b"\n\n"

    def tail(self) -> bytes:
        """Nothing: the last event is the end."""
        return b""

    def goodbye(self, reconnect: float) -> bytes:
        """Sent before a stream is ended that has more to come."""
        return b": the server restarts, come back\nretry: %d\n\n" % int(reconnect * 1000)


class LinesWriter:
    """A JSON value a line."""

    content_type = NDJSON
    heartbeat = b""

    def __init__(self, codec: Codec, _shape: EventShape) -> None:
        self._encode = codec.encode

    def head(self, _reconnect: float) -> bytes:
        """Nothing."""
        return b""

    def item(self, message: Any) -> bytes:
        """One line."""
        return self._encode(message) + b"\n"

    def error(self, status: bytes) -> bytes:
        """A line of its own shape."""
        return b'{"error":' + status + b"}\n"

    def tail(self) -> bytes:
        """Nothing."""
        return b""

    def goodbye(self, _reconnect: float) -> bytes:
        """Nothing; the stream ends with an error line."""
        return b""


class ArrayWriter:
    """One JSON array, as generated REST clients read it."""

    content_type = JSON
    heartbeat = b""

    def __init__(self, codec: Codec, _shape: EventShape) -> None:
        self._encode = codec.encode
        self._separator = b""

    def head(self, _reconnect: float) -> bytes:
        """Opens the array."""
        return b"["

    def item(self, message: Any) -> bytes:
        """One element."""
        return self._element(self._encode(message))

    def error(self, status: bytes) -> bytes:
        """The last element, of its own shape."""
        return self._element(b'{"error":' + status + b"}")

    def _element(self, data: bytes) -> bytes:
        separator, self._separator = self._separator, b","
        return separator + data

    def tail(self) -> bytes:
        """Closes the array."""
        return b"]"

    def goodbye(self, _reconnect: float) -> bytes:
        """Nothing; the stream ends with an error element."""
        return b""


_WRITERS: dict[str, Callable[[Codec, EventShape], Writer]] = {
    EVENT_STREAM: SseWriter,
    NDJSON: LinesWriter,
    "application/jsonl": LinesWriter,
    JSON: ArrayWriter,
}


def choose_writer(accept: str | None) -> Callable[[Codec, EventShape], Writer]:
    """By the Accept header: the wanted type of highest quality, else the JSON array."""
    best, quality = JSON, 0.0
    for item in (accept or "").split(","):
        kind, *parameters = (part.strip().lower() for part in item.split(";"))
        weight = _quality(parameters)
        if kind in _WRITERS and weight > quality:
            best, quality = kind, weight
    return _WRITERS[best]


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
