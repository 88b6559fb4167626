"""What the transcoder needs of a JSON codec."""

from __future__ import annotations

from typing import Protocol

from google.protobuf.message import Message


class JsonError(Exception):
    """JSON that is no value of its type. ``path`` is in JSON names: ``files[2].name``."""

    def __init__(self, reason: str, *path: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self._path = list(path)

    def inside(self, step: str) -> JsonError:
        """The same error seen from one level further out."""
        self._path.insert(0, step)
        return self

    @property
    def path(self) -> str:
        """Where it is wrong; empty for the whole document."""
        return "".join(
            step if step.startswith("[") or index == 0 else f".{step}"
            for index, step in enumerate(self._path)
        )

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}" if self._path else self.reason


class Codec(Protocol):
    """JSON of one message type, or of one field of it."""

    def encode(self, message: Message) -> bytes:
        """UTF-8 JSON without line breaks. Raises JsonError for what JSON cannot say."""
        ...

    def decode(self, data: bytes, message: Message) -> None:
        """Reads ``data`` into the fresh ``message``. Raises JsonError."""
        ...

    def paths(self, data: bytes) -> list[str]:
        """The field-mask paths (proto names) of what ``data`` sets. Raises JsonError."""
        ...
