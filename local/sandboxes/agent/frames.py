"""The frames that the engine and the agent exchange over their Unix socket.

A frame is a 10-byte head (body length, id, kind, number of descriptors), then a body that packs a
list of byte strings, each after its length. Descriptors travel beside it (SCM_RIGHTS) and arrive
no later than the frame's last byte. Both ends use this module; nothing here trusts the sender.
"""

from __future__ import annotations

REQUEST, OK, MORE, ERROR, EVENT = range(5)

HEAD = 10
MAX_BODY = 8 * 1024 * 1024
MAX_FDS = 4
MAX_ANSWER = 8 * 1024 * 1024  # all parts of one


class BadFrameError(Exception):
    """The peer sent bytes that are no frame; the connection can't be used any more."""


def pack(fields: list[bytes] | tuple[bytes, ...]) -> bytes:
    """The body that carries ``fields``."""
    parts = []
    for field in fields:
        parts.append(len(field).to_bytes(4, "big"))
        parts.append(field)
    return b"".join(parts)


def unpack(body: bytes, most: int = MAX_BODY) -> list[bytes]:
    """The fields of a body, at most so many; raises BadFrameError when they do not add up."""
    fields: list[bytes] = []
    at, end = 0, len(body)
    while at < end:
        size = int.from_bytes(body[at : at + 4], "big")
        at += 4 + size
        if at > end or len(fields) >= most:
            raise BadFrameError("a field is longer than its frame, or one too many")
        fields.append(body[at - size : at])
    return fields


def frame(number: int, kind: int, fields: list[bytes] | tuple[bytes, ...], fds: int = 0) -> bytes:
    """A whole frame; ``fds`` descriptors have to be sent with its first byte."""
    body = pack(fields)
    if len(body) > MAX_BODY or fds > MAX_FDS:
        raise BadFrameError(f"a frame of {len(body)} bytes and {fds} descriptors")
    head = (len(body) << 48) | (number << 16) | (kind << 8) | fds
    return head.to_bytes(HEAD, "big") + body


class Reader:
    """Cuts a stream of bytes into frames of at most so many bytes and fields."""

    def __init__(self, most_bytes: int = MAX_BODY, most_fields: int = MAX_BODY) -> None:
        self._buffer = bytearray()
        self._most_bytes = most_bytes
        self._most_fields = most_fields

    def feed(self, data: bytes) -> list[tuple[int, int, int, list[bytes]]]:
        """The frames that ``data`` completes, as (id, kind, descriptors, fields)."""
        buffer = self._buffer
        buffer += data
        frames = []
        while len(buffer) >= HEAD:
            head = int.from_bytes(buffer[:HEAD], "big")
            size, fds = head >> 48, head & 0xFF
            if size > self._most_bytes or fds > MAX_FDS:
                raise BadFrameError(f"a frame of {size} bytes and {fds} descriptors")
            if len(buffer) < HEAD + size:
                break
            fields = unpack(bytes(buffer[HEAD : HEAD + size]), self._most_fields)
            del buffer[: HEAD + size]
            frames.append(((head >> 16) & 0xFFFFFFFF, (head >> 8) & 0xFF, fds, fields))
        return frames
