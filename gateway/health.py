"""Whether the gateway lives, and whether what stands behind it can be used."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

_TIMEOUT_SECONDS = 1.0


@dataclass(frozen=True)
class Readiness:
    """The state of each backend: SERVING, NOT_SERVING or UNREACHABLE."""

    services: dict[str, str]

    @property
    def ready(self) -> bool:
        """Whether all serve."""
        return all(state == "SERVING" for state in self.services.values())


class HealthProbe:
    """Asks each backend's health service, all at once."""

    def __init__(self, channels: Mapping[str, grpc.aio.Channel]) -> None:
        """``channels`` by the backends' names."""
        # Any: the published types know the synchronous stub only.
        self._stubs: dict[str, Any] = {
            name: health_pb2_grpc.HealthStub(channel) for name, channel in channels.items()
        }

    async def check(self) -> Readiness:
        """Takes at most a second."""
        states = await asyncio.gather(*(self._state(stub) for stub in self._stubs.values()))
        return Readiness(dict(zip(self._stubs, states, strict=True)))

    @staticmethod
    async def _state(stub: Any) -> str:
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=_TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError:
            return "UNREACHABLE"
        return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))
