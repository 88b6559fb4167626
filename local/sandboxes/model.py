"""What a sandbox is, apart from how it runs."""

from __future__ import annotations

import enum
import secrets
import string
from dataclasses import dataclass, field
from datetime import UTC, datetime

ENVD_PORT = 49983
ENVD_VERSION = "0.6.13"

_ALPHABET = string.ascii_lowercase + string.digits


class State(enum.StrEnum):
    """The states that the control plane names."""

    RUNNING = "running"
    PAUSED = "paused"


class OnTimeout(enum.StrEnum):
    """What happens to a sandbox at its end."""

    KILL = "kill"
    PAUSE = "pause"


@dataclass(frozen=True)
class Order:
    """What a caller asks for; ``timeout`` is seconds to live. ``auto_resume``: a request wakes it.

    ``mask_host``: what servers inside see as the Host of a request, with ``${PORT}`` for the port.
    ``pause_memory``: a pause at its end keeps the memory; otherwise the file tree alone.
    """

    template: str
    timeout: int
    metadata: dict[str, str] = field(default_factory=dict)
    envs: dict[str, str] = field(default_factory=dict)
    on_timeout: OnTimeout = OnTimeout.KILL
    pause_memory: bool = True
    auto_resume: bool = False
    private_traffic: bool = False
    mask_host: str = ""


@dataclass(frozen=True)
class Identity:
    """What a sandbox is called and what opens it; fixed for its life."""

    sandbox_id: str
    access_token: str
    traffic_token: str
    started_at: datetime


def new_id(prefix: str = "i") -> str:
    """An id of 20 lower-case letters and digits, so that it can stand in a host name."""
    return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(20 - len(prefix)))


def new_identity(sandbox_id: str) -> Identity:
    """An identity that starts now."""
    return Identity(
        sandbox_id=sandbox_id,
        access_token=secrets.token_hex(24),
        traffic_token=secrets.token_hex(24),
        started_at=datetime.now(UTC),
    )
