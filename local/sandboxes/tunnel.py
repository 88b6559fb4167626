"""WebSocket pass-through: after its handshake a connection is bytes, which nobody here looks at."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from local.sandboxes import errors
from local.sandboxes.dialling import TRAFFIC_HEADER, Dialler
from local.sandboxes.model import ENVD_PORT
from local.sandboxes.proxy import OURS
from local.sandboxes.routing import Target, target_of

_REFUSAL = (
    b"HTTP/1.1 %b\r\ncontent-type: text/plain\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b"
)


class Tunnel(asyncio.Protocol):
    """The client's half. The HTTP server hands its connection over with the handshake as data."""

    def __init__(self, dialler: Dialler, config: Any, server_state: Any, app_state: Any) -> None:  # noqa: ARG002 -- the HTTP server's own signature
        self._dialler = dialler
        self._state = server_state
        self._early = bytearray()
        self._head_seen = False
        self._task: asyncio.Task[None] | None = None
        self._client: asyncio.Transport
        self._server: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._client = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        self._state.connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self._server is not None:
            self._server.write(data)
        elif self._head_seen:
            self._early += data
        else:
            self._head_seen = True
            # What follows the handshake waits in the socket until the other end stands.
            self._client.pause_reading()
            self._task = asyncio.get_running_loop().create_task(self._open(data))

    async def _open(self, handshake: bytes) -> None:
        head = [line.partition(b": ") for line in handshake.split(b"\r\n")[1:] if line]
        headers = {name.lower(): value.decode("latin-1") for name, _, value in head}
        target = target_of(
            headers.get(b"host", ""),
            headers.get(b"e2b-sandbox-id", ""),
            headers.get(b"e2b-sandbox-port", ""),
        )
        if target is None or target.port == ENVD_PORT:
            self._refuse(b"404 Not Found", b"no WebSocket here")
            return
        try:
            await self._join(target, headers.get(TRAFFIC_HEADER, ""), handshake)
        except errors.PermissionDeniedError as exc:
            self._refuse(b"403 Forbidden", exc.message.encode())
        except errors.EngineError as exc:
            self._refuse(b"502 Bad Gateway", exc.message.encode())

    async def _join(self, target: Target, token: str, handshake: bytes) -> None:
        sandbox = self._dialler.admit(target.sandbox_id, token)
        connection = await self._dialler.dial(sandbox, target.port)
        server, _ = await asyncio.get_running_loop().create_connection(
            lambda: _Return(self._client), sock=connection
        )
        server.write(_without_ours(handshake) + bytes(self._early))
        if self._client.is_closing():
            server.abort()
            return
        self._server = server
        self._client.resume_reading()

    def _refuse(self, status: bytes, text: bytes) -> None:
        self._client.write(_REFUSAL % (status, len(text), text))
        self._client.close()

    def pause_writing(self) -> None:
        if self._server is not None:
            self._server.pause_reading()

    def resume_writing(self) -> None:
        if self._server is not None and not self._server.is_closing():
            self._server.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio's signature
        self._state.connections.discard(self)
        if self._task is not None:
            self._task.cancel()
        if self._server is not None:
            self._server.close()

    def shutdown(self) -> None:
        """The HTTP server stops."""
        self._client.close()


class _Return(asyncio.Protocol):
    """The server's half."""

    def __init__(self, client: asyncio.Transport) -> None:
        self._client = client

    def data_received(self, data: bytes) -> None:
        self._client.write(data)

    def pause_writing(self) -> None:
        self._client.pause_reading()

    def resume_writing(self) -> None:
        if not self._client.is_closing():
            self._client.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio's signature
        self._client.close()


def _without_ours(handshake: bytes) -> bytes:
    first, *lines = handshake.split(b"\r\n")
    kept = [line for line in lines if line.partition(b":")[0].lower() not in OURS]
    return b"\r\n".join([first, *kept])
