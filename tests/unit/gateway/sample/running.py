"""The sample's gRPC server and an ASGI app on uvicorn, both on sockets of this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import httpx
import uvicorn
from uvicorn.server import ServerState

from gateway.protocol import bounded_protocol
from gateway.transcoder import Transcoder, TranscoderOptions
from tests.unit.gateway.sample.contract import sample_contract
from tests.unit.gateway.sample.service import MAX_MESSAGE, SampleService, add_to_server


@dataclass
class Running:
    """What a test holds in its hands."""

    service: SampleService
    transcoder: Transcoder
    http: httpx.AsyncClient
    port: int
    grpc_port: int
    channel: grpc.aio.Channel
    grpc_server: grpc.aio.Server


@asynccontextmanager
async def running(options: TranscoderOptions | None = None) -> AsyncIterator[Running]:
    """Starts both, hands them over, stops both."""
    service = SampleService()
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", MAX_MESSAGE)])
    add_to_server(service, server)
    grpc_port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{grpc_port}")
    transcoder = Transcoder(sample_contract(), {"sample.v1.Samples": channel}, options)
    try:
        async with serving(transcoder) as port:
            base = f"http://127.0.0.1:{port}"
            async with httpx.AsyncClient(base_url=base, timeout=30) as client:
                yield Running(service, transcoder, client, port, grpc_port, channel, server)
    finally:
        await channel.close()
        await server.stop(None)


@asynccontextmanager
async def serving(app: Any, *, header_seconds: float = 15) -> AsyncIterator[int]:
    """The gateway's own HTTP protocol in this event loop; yields the port."""
    config = uvicorn.Config(
        app,
        http=bounded_protocol(32 * 1024, header_seconds),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
    )
    config.load()
    state = ServerState()
    protocol: Any = config.http_protocol_class
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: protocol(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for connection in list(state.connections):
            connection.transport.abort()
        await asyncio.gather(*state.tasks, return_exceptions=True)
