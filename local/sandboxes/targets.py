"""Which sandbox and port a request means."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from local.sandboxes.model import ENVD_PORT

SANDBOX_HEADER, PORT_HEADER = b"e2b-sandbox-id", b"e2b-sandbox-port"

_HOST = re.compile(r"([0-9]+)-([a-z0-9]+)\.[^@]*", re.IGNORECASE | re.ASCII)
_LAST_PORT = 65_535
_MAX_LENGTH = 255  # no name is longer; what is remembered of requests is bounded by it


class BadTargetError(ValueError):
    """The request names a port or a host that can't be one."""


@dataclass(frozen=True)
class Target:
    """A port of a sandbox; whether there is such a sandbox is another question."""

    sandbox_id: str
    port: int


def target_of(host: str, sandbox_header: str, port_header: str) -> Target | None:
    """What a request is for; None is the engine itself.

    A sandbox's own host name wins: what a page inside one sandbox asks of its own origin must
    never reach another one, whatever headers it sets. Raises BadTargetError.
    """
    named = ((b"host", host), (SANDBOX_HEADER, sandbox_header), (PORT_HEADER, port_header))
    for name, value in named:
        if len(value) > _MAX_LENGTH:
            raise BadTargetError(f"The header {name.decode()} is longer than {_MAX_LENGTH} bytes")
    return _target_of(host, sandbox_header, port_header)


@functools.lru_cache(maxsize=4096)
def _target_of(host: str, sandbox_header: str, port_header: str) -> Target | None:
    match = _HOST.fullmatch(host)
    if match:
        return Target(match[2].lower(), _port(match[1]))
    if sandbox_header:
        return Target(sandbox_header, _port(port_header) if port_header else ENVD_PORT)
    return None


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) <= _LAST_PORT):
        raise BadTargetError(f"Invalid sandbox port: it must be 1 to {_LAST_PORT}")
    return int(text)
