"""The HTTP server around the engine: one port, stopped by SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import signal
import socket
from collections.abc import Iterator
from typing import Any, cast

import structlog
import uvicorn

from local.sandboxes.app import Running
from local.sandboxes.preview.front import Front

log = structlog.get_logger(__name__)

_KEEP_ALIVE_SECONDS = 75
_GRACE_SECONDS = 2
_SILENT_SECONDS = 60


class _Server(uvicorn.Server):
    """Leaves the signals alone: jails have to end before connections do."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(running: Running, listener: socket.socket, stop: asyncio.Event) -> None:
    """Serve until ``stop``; then end all jails, which ends their streams, and the server."""
    _quieten()
    config = uvicorn.Config(
        running.asgi,
        http=cast("Any", functools.partial(Front, running.previews)),  # uvicorn only calls it
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    await running.engine.close()
    server.should_exit = True
    await serving


def stop_on_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; raises OSError when the address is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=2048)
    # Connections inherit it: a client that vanished without a word is noticed in minutes.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _SILENT_SECONDS)
    return listener


class _NotOurFault(logging.Filter):
    """A response that is broken off because the server inside a sandbox broke it off is no error."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "without completing response" not in record.getMessage()


def _quieten() -> None:
    logger = logging.getLogger("uvicorn.error")
    logger.setLevel(logging.WARNING)
    logger.addFilter(_NotOurFault())
