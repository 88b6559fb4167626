"""How a server of ours starts, reports its health and stops."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Protocol

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection

from kit.auth.tokens import Verifier
from kit.interceptors import Pipeline
from kit.settings import ServerSettings
from kit.tasks import ended

_log = structlog.get_logger(__name__)


class Registration(Protocol):
    """Adds a servicer to a server, as the generated ``add_…_to_server`` do with a servicer bound."""

    def __call__(self, server: grpc.aio.Server, /) -> None:
        """Adds it."""


@dataclass
class Application:
    """What a composition root builds and a server runs."""

    services: dict[str, Registration]
    """Full name of each RPC service and how it is added."""
    verifier: Verifier
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server begins to drain: long streams end, workers take nothing new."""
    background: list[Coroutine[Any, Any, None]] = field(default_factory=list)
    """Run beside the server for its whole life; one that fails ends the process."""
    resources: AsyncExitStack = field(default_factory=AsyncExitStack)
    """Closed last."""


class Server:
    """A gRPC server with health and reflection around an application."""

    def __init__(self, settings: ServerSettings, app: Application) -> None:
        """Nothing listens before ``start``."""
        self._settings = settings
        self._app = app
        self._health = HealthServicer()
        self._server = grpc.aio.server(
            interceptors=[Pipeline(app.verifier)],
            options=[
                # A port in use is an error to be told, not a port to be shared.
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", settings.max_message_bytes),
                ("grpc.max_send_message_length", settings.max_message_bytes),
                ("grpc.keepalive_time_ms", 30_000),
                ("grpc.keepalive_timeout_ms", 10_000),
                ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
                ("grpc.keepalive_permit_without_calls", 1),
            ],
        )
        self.port = 0

    async def start(self) -> None:
        """Listens and reports SERVING. Raises ``StartupError`` where the port is taken."""
        for add in self._app.services.values():
            add(self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = [*self._app.services, "grpc.health.v1.Health"]
        if self._settings.reflection:
            reflected = [*names, reflection.SERVICE_NAME]
            reflection.enable_server_reflection(reflected, self._server)
        address = f"{self._settings.host}:{self._settings.port}"
        try:
            self.port = self._server.add_insecure_port(address)
        except RuntimeError as exc:
            raise StartupError(f"can't listen on {address}: is the port in use?") from exc
        await self._server.start()
        for name in ["", *names]:
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        _log.info("serving", address=f"{self._settings.host}:{self.port}")

    async def stop(self) -> None:
        """Drains: reports NOT_SERVING, ends long streams, lets calls under way finish, then closes."""
        _log.info("draining")
        await self._health.enter_graceful_shutdown()
        self._app.stopping.set()
        await self._server.stop(self._settings.drain_seconds)


async def serve(settings: ServerSettings, app: Application) -> None:
    """Runs an application until SIGTERM or SIGINT, or until one of its background tasks fails."""
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    async with app.resources:
        for work in app.background:
            # One that is never begun, because the server can't start, must not complain of it.
            app.resources.callback(work.close)
        server = Server(settings, app)
        await server.start()
        tasks = [asyncio.create_task(work) for work in app.background]
        waiter = asyncio.create_task(asked.wait())
        try:
            done, _ = await asyncio.wait([waiter, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in done - {waiter}:
                task.result()
        finally:
            waiter.cancel()
            await server.stop()
            await _finished(tasks, settings.drain_seconds)


async def _finished(tasks: list[asyncio.Task[None]], seconds: float) -> None:
    """Gives background work, which has seen ``stopping``, its time to end, then cancels it."""
    if not tasks:
        return
    _, late = await asyncio.wait(tasks, timeout=seconds)
    await ended(late)
    await asyncio.gather(*tasks, return_exceptions=True)


def run(service: Coroutine[Any, Any, None]) -> None:
    """Runs a server's coroutine on uvloop; a start-up error that people can mend is one line, exit code 2."""
    # Imported here: it takes the place of asyncio's loop in this process alone.
    import uvloop

    try:
        uvloop.run(service)
    except StartupError as exc:
        _log.error("can't start", why=str(exc))
        raise SystemExit(2) from exc


class StartupError(Exception):
    """Something that who starts the server can mend; its text says what and how."""
