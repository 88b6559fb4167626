"""A call of the control plane, and what is said to it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from local.sandboxes.asgi import Headers


@dataclass(frozen=True)
class Request:
    """What a handler needs to know."""

    path: re.Match[str]
    query: dict[str, list[str]]
    body: bytes
    idempotency_key: str


@dataclass(frozen=True)
class Answer:
    """What a handler says; ``value`` None is no body."""

    status: int
    value: Any = None
    headers: Headers | None = None


Handler = Callable[[Request], Awaitable[Answer]]

ONE = r"/sandboxes/(?P<id>[^/]+)"


@dataclass(frozen=True)
class Defaults:
    """Seconds a sandbox lives when the caller names none: now, and on the v1 routes."""

    timeout: int
    legacy_timeout: int


@dataclass(frozen=True)
class Route:
    """``path`` is a regular expression of the whole path."""

    method: str
    path: re.Pattern[str]
    handler: Handler

    @classmethod
    def to(cls, method: str, path: str, handler: Handler) -> Route:
        return cls(method, re.compile(path), handler)
