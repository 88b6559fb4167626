"""What the transcoder can be told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.transcoder.exchange import Exchange

# From a request to the value of the call's ``authorization`` metadata, or None. It may raise HttpError.
Authorize = Callable[[Exchange], Awaitable[str | None]]


async def forward_bearer(exchange: Exchange) -> str | None:
    """Hands the Authorization header on as it is: the services verify it."""
    return exchange.header(b"authorization")


@dataclass(frozen=True)
class TranscoderOptions:
    """Sizes in bytes, times in seconds."""

    error_domain: str = "sandwright"
    short_enums: bool = True
    read_deadline: float = 5.0
    write_deadline: float = 15.0
    create_sandbox_deadline: float = 75.0
    longest_deadline: float = 3600.0  # that a client's Grpc-Timeout may ask for
    json_limit: int = 1024 * 1024
    json_content_limit: int = 8 * 1024 * 1024  # the same where the request's message holds bytes
    upload_limit: int = 256 * 1024 * 1024
    upload_chunk: int = 256 * 1024  # a message of an upload; never above 1 MiB
    upload_idle: float = 30.0  # longest wait for the next bytes of a request body
    send_timeout: float = 30.0  # longest wait for a client to take what is sent
    heartbeat: float = 15.0
    connect_wait: float = 10.0  # how long an event stream waits for a service that restarts
    reconnect: float = 1.0  # what an event stream's client is told to wait before it comes back
    authorize: Authorize = forward_bearer
