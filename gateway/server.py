"""Runs the gateway on uvicorn: one clear line where the port is taken, a drain on SIGTERM and SIGINT."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog
import uvicorn

from gateway.app import build, with_cors
from gateway.protocol import bounded_protocol
from gateway.settings import GatewaySettings

_log = structlog.get_logger(__name__)


class DrainingServer(uvicorn.Server):
    """Tells the application before it waits for the answers under way."""

    def __init__(self, config: uvicorn.Config, drain: Callable[[], None]) -> None:
        super().__init__(config)
        self._drain = drain

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, but the process ends with 0: it did what it was asked."""
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGTERM, signal.SIGINT)
        for number in numbers:
            loop.add_signal_handler(number, self._stop)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    def _stop(self) -> None:
        self.force_exit = self.should_exit  # the second signal does not wait
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Says where it listens once it does."""
        await super().startup(sockets)
        for sock in sockets or ():
            host, port = sock.getsockname()[:2]
            _log.info("serving", address=f"{host}:{port}")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends event streams, then as uvicorn does."""
        _log.info("draining")
        self._drain()
        await super().shutdown(sockets)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ``OSError`` with a clear message where the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
    except OSError as exc:
        found.close()
        raise OSError(f"cannot listen on {host}:{port} (GATEWAY_PORT): {exc.strerror}") from exc
    return found


async def serve(settings: GatewaySettings) -> None:
    """Serves until SIGTERM or SIGINT. Raises ``OSError`` where the port is taken."""
    sock = listen(settings.host, settings.port)
    gateway = build(settings)
    server = DrainingServer(uvicorn_config(with_cors(gateway, settings), settings), gateway.drain)
    try:
        await server.serve(sockets=[sock])
    finally:
        await gateway.close()


def uvicorn_config(app: Any, settings: GatewaySettings) -> uvicorn.Config:
    """How uvicorn is set up around ``app``."""
    return uvicorn.Config(
        app,
        http=bounded_protocol(settings.max_header_bytes, settings.header_seconds),
        ws="none",
        lifespan="off",
        loop="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_keep_alive=settings.keep_alive_seconds,
        # At 0 uvicorn would wait for ever.
        timeout_graceful_shutdown=max(1, round(settings.drain_seconds)),
    )
