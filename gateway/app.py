"""The gateway's composition root."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from contextlib import AsyncExitStack
from importlib import resources
from typing import Any

import grpc
from starlette.middleware.cors import CORSMiddleware

from gateway.health import HealthProbe
from gateway.pages import Pages
from gateway.settings import GatewaySettings
from gateway.transcoder import Contract, ContractError, Transcoder, TranscoderOptions, load_contract
from gateway.transcoder.exchange import Receive, Scope, Send
from gateway.transcoder.openapi import build_document
from kit.channels import open_channel

API_VERSION = "1.0.0"
_DESCRIPTION = """REST face of the Sandwright services. JSON is lowerCamelCase, 64-bit integers are strings,
times are RFC 3339. Every error is a google.rpc.Status."""

# Which backend offers the RPC services of a package.
_BACKENDS = {
    "sandwright.projects.v1": "projects",
    "sandwright.sandbox.v1": "sandbox",
    "sandwright.generation.v1": "generation",
}
_CORS_HEADERS = (
    "authorization",
    "content-type",
    "grpc-timeout",
    "idempotency-key",
    "if-none-match",
    "last-event-id",
    "x-request-id",
)


class Gateway:
    """The ASGI application: its own few pages, and everything else from the descriptors."""

    def __init__(self, transcoder: Transcoder, pages: Pages, resources: AsyncExitStack) -> None:
        """``resources`` is closed by ``close``."""
        self._transcoder = transcoder
        self._pages = pages
        self._resources = resources

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI, for scopes of type http."""
        path = scope["path"]
        if path in self._pages:
            await self._transcoder.handle(
                scope, receive, send, lambda exchange: self._pages.serve(path, exchange)
            )
        else:
            await self._transcoder(scope, receive, send)

    def drain(self) -> None:
        """Reports not ready and ends event streams."""
        self._pages.draining = True
        self._transcoder.drain()

    async def close(self) -> None:
        """Closes the channels."""
        await self._resources.aclose()


def build(settings: GatewaySettings) -> Gateway:
    """Connects nothing yet: the channels connect at their first call. Needs a running event loop."""
    contract = load_contract(platform_descriptors())
    _register_stubs(contract)
    backends = {
        name: open_channel(address, _services(contract, name))
        for name, address in {
            "projects": settings.projects_address,
            "sandbox": settings.sandbox_address,
            "generation": settings.generation_address,
        }.items()
    }
    stack = AsyncExitStack()
    for channel in backends.values():
        stack.push_async_callback(channel.close)
    transcoder = Transcoder(contract, _channels(contract, backends), _options(settings))
    pages = Pages(HealthProbe(backends), describe(contract))
    return Gateway(transcoder, pages, stack)


def with_cors(gateway: Gateway, settings: GatewaySettings) -> Any:
    """The application as other origins may use it; unchanged where none may."""
    if not settings.allowed_origins:
        return gateway
    return CORSMiddleware(
        gateway,
        allow_origins=settings.allowed_origins,
        allow_methods=("GET", "POST", "PUT", "PATCH", "DELETE"),
        allow_headers=_CORS_HEADERS,
        expose_headers=("etag", "retry-after", "x-request-id"),
    )


def platform_descriptors() -> bytes:
    """The descriptor set that ``make protos`` writes."""
    return resources.files("protos").joinpath("descriptors.binpb").read_bytes()


def describe(contract: Contract) -> dict[str, Any]:
    """The OpenAPI document of the platform."""
    return build_document(
        contract, title="Sandwright API", version=API_VERSION, description=_DESCRIPTION
    )


def _backend(service: str) -> str:
    package = service.rpartition(".")[0]
    if package not in _BACKENDS:
        raise ContractError(f"no backend offers {service}")
    return _BACKENDS[package]


def _services(contract: Contract, backend: str) -> tuple[str, ...]:
    found = dict.fromkeys(method.service for method in contract.methods)
    return tuple(service for service in found if _backend(service) == backend)


def _channels(
    contract: Contract, backends: Mapping[str, grpc.aio.Channel]
) -> dict[str, grpc.aio.Channel]:
    return {method.service: backends[_backend(method.service)] for method in contract.methods}


def _register_stubs(contract: Contract) -> None:
    """kit looks services up among the generated stubs, which register themselves when imported."""
    for name in dict.fromkeys(
        method.descriptor.containing_service.file.name for method in contract.methods
    ):
        importlib.import_module(name.removesuffix(".proto").replace("/", ".") + "_pb2")


def _options(settings: GatewaySettings) -> TranscoderOptions:
    return TranscoderOptions(
        read_deadline=settings.deadlines.read_seconds,
        write_deadline=settings.deadlines.write_seconds,
        create_sandbox_deadline=settings.deadlines.create_sandbox_seconds,
        json_limit=settings.max_json_bytes,
        json_content_limit=settings.max_json_content_bytes,
        upload_limit=settings.max_upload_bytes,
        upload_chunk=settings.upload_chunk_bytes,
        upload_idle=settings.body_idle_seconds,
        send_timeout=settings.send_seconds,
        heartbeat=settings.heartbeat_seconds,
        connect_wait=settings.connect_wait_seconds,
        reconnect=settings.reconnect_seconds,
    )
