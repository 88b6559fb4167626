"""Channels to peers: default deadlines, retries of what may be repeated, and who calls, on every call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import orjson
from google.protobuf import descriptor_pool

from kit.auth.tokens import ServiceIdentity
from kit.context import current_principal, request_id
from kit.metadata import AUTHORIZATION, REQUEST_ID
from kit.methods import MethodPolicy, policy_from, policy_of
from kit.settings import DeadlineSettings
from protos.options.v1 import options_pb2

RETRY = {
    "maxAttempts": 4,
    "initialBackoff": "0.1s",
    "maxBackoff": "1s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}
_MAX_MESSAGE = 8 * 1024 * 1024


def open_channel(
    address: str,
    services: tuple[str, ...],
    *,
    identity: ServiceIdentity | None = None,
    deadlines: DeadlineSettings | None = None,
    wait_for_ready: bool = False,
    extra_options: tuple[tuple[str, Any], ...] = (),
) -> grpc.aio.Channel:
    """A channel to a peer that offers these services (full names). It connects when it is first used.

    With an ``identity`` each call carries a token and a deadline: the user's own token where a user calls and the
    method is open to users, a fresh internal one otherwise. Without one the caller sets both itself, as the gateway
    does.
    With ``wait_for_ready`` a call waits, up to its deadline, for a peer that is restarting.
    """
    options = [
        ("grpc.service_config", orjson.dumps(service_config(services, wait_for_ready)).decode()),
        ("grpc.enable_retries", 1),
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.max_receive_message_length", _MAX_MESSAGE),
        ("grpc.max_send_message_length", _MAX_MESSAGE),
        # A restarted peer is found within a second, not after the default of two minutes.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1_000),
        ("grpc.enable_http_proxy", 0),
        *extra_options,
    ]
    interceptors = _interceptors(identity, deadlines or DeadlineSettings()) if identity else None
    return grpc.aio.insecure_channel(address, options=options, interceptors=interceptors)


def service_config(services: tuple[str, ...], wait_for_ready: bool) -> dict[str, Any]:
    """The gRPC service config of some services: methods that declare themselves idempotent are retried."""
    pool = descriptor_pool.Default()
    configs: list[dict[str, Any]] = []
    for service in services:
        for method in pool.FindServiceByName(service).methods:
            config: dict[str, Any] = {"name": [{"service": service, "method": method.name}]}
            if wait_for_ready:
                config["waitForReady"] = True
            if policy_from(method).idempotent:
                config["retryPolicy"] = RETRY
            configs.append(config)
    return {"methodConfig": configs}


def deadline_of(policy: MethodPolicy, deadlines: DeadlineSettings) -> float | None:
    """How many seconds a call of this method waits by default, ``None`` for as long as it takes."""
    return {
        options_pb2.DEADLINE_READ: deadlines.read_seconds,
        options_pb2.DEADLINE_WRITE: deadlines.write_seconds,
        options_pb2.DEADLINE_CREATE_SANDBOX: deadlines.create_sandbox_seconds,
    }.get(policy.deadline)


def outgoing_metadata(policy: MethodPolicy, identity: ServiceIdentity) -> list[tuple[str, str]]:
    """Request id and token for a call to a peer, by who makes the call that is being served."""
    metadata = []
    if found := request_id.get():
        metadata.append((REQUEST_ID, found))
    principal = current_principal()
    if policy.access == options_pb2.ACCESS_USER and principal and principal.token:
        token = principal.token
    elif policy.access == options_pb2.ACCESS_PUBLIC:
        return metadata
    else:
        token = identity.token(policy.service, principal.user_id if principal else "")
    return [*metadata, (AUTHORIZATION, f"Bearer {token}")]


def _interceptors(
    identity: ServiceIdentity, deadlines: DeadlineSettings
) -> list[grpc.aio.ClientInterceptor]:
    def completed(details: grpc.aio.ClientCallDetails) -> grpc.aio.ClientCallDetails:
        method: Any = details.method
        policy = policy_of(method.decode() if isinstance(method, bytes) else method)
        metadata = grpc.aio.Metadata(*(details.metadata or ()))
        for key, value in outgoing_metadata(policy, identity):
            metadata.add(key, value)
        timeout = details.timeout
        if timeout is None:
            timeout = deadline_of(policy, deadlines)
        return grpc.aio.ClientCallDetails(
            method=details.method,
            timeout=timeout,
            metadata=metadata,
            credentials=details.credentials,
            wait_for_ready=details.wait_for_ready,
        )

    # gRPC tells interceptors apart by class: one object can't serve all four kinds of call.
    return [
        _UnaryUnary(completed),
        _UnaryStream(completed),
        _StreamUnary(completed),
        _StreamStream(completed),
    ]


class _Completing:
    def __init__(
        self, completed: Callable[[grpc.aio.ClientCallDetails], grpc.aio.ClientCallDetails]
    ) -> None:
        self._completed = completed

    async def _call(self, continuation: Any, details: Any, request: Any) -> Any:
        return await continuation(self._completed(details), request)


class _UnaryUnary(_Completing, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        return await self._call(continuation, client_call_details, request)


class _UnaryStream(_Completing, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        return await self._call(continuation, client_call_details, request)


class _StreamUnary(_Completing, grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        return await self._call(continuation, client_call_details, request_iterator)


class _StreamStream(_Completing, grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        return await self._call(continuation, client_call_details, request_iterator)
