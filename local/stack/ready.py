"""Whether a process answers."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc

from local.stack.plan import Process

PROBE_SECONDS = 2.0


async def is_ready(process: Process) -> bool:
    """One probe, over HTTP or by the gRPC health service."""
    if process.http_health:
        return await _http_ready(f"http://127.0.0.1:{process.port}{process.http_health}")
    return await _grpc_ready(f"127.0.0.1:{process.port}")


async def wait_ready(process: Process, seconds: float) -> bool:
    """Probes until the process answers; ``False`` when time is over."""
    end = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < end:
        if await is_ready(process):
            return True
        await asyncio.sleep(0.1)
    return False


async def _http_ready(url: str) -> bool:
    async with httpx.AsyncClient(trust_env=False, timeout=PROBE_SECONDS) as client:
        try:
            return (await client.get(url)).is_success
        except httpx.HTTPError:
            return False


async def _grpc_ready(address: str) -> bool:
    options = [("grpc.enable_http_proxy", 0)]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)  # its types know the synchronous API only
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=PROBE_SECONDS)
        except grpc.aio.AioRpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
