"""Whether a gRPC server of ours serves: ``python -m kit.health HOST:PORT``, exit code 0 or 1. For containers."""

from __future__ import annotations

import sys

import grpc
from grpc_health.v1 import health_pb2


def serves(address: str, seconds: float = 3) -> bool:
    """Whether the server at this address reports SERVING."""
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        try:
            answer = check(health_pb2.HealthCheckRequest(), timeout=seconds)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


if __name__ == "__main__":
    raise SystemExit(0 if serves(sys.argv[1]) else 1)
