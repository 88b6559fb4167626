"""The ASGI application: a request finds its endpoint, the endpoint answers it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc
import structlog
from google.rpc import code_pb2

from gateway.transcoder.answer import answer_message, serve_unary
from gateway.transcoder.codec import JsonCodecs, JsonError
from gateway.transcoder.contract import Contract
from gateway.transcoder.endpoint import Endpoint
from gateway.transcoder.errors import ContractError, Disconnected, HttpError, refusal
from gateway.transcoder.events import EventShape
from gateway.transcoder.exchange import Exchange, Receive, Scope, Send, SlowClient
from gateway.transcoder.live import Draining, LiveCall
from gateway.transcoder.options import TranscoderOptions
from gateway.transcoder.router import ANY_METHOD, Router
from gateway.transcoder.status import from_rpc, internal_error, status_bytes
from gateway.transcoder.stream import serve_bytes, serve_events
from gateway.transcoder.upload import begin_streaming, watch_client

log = structlog.get_logger(__name__)

Serve = Callable[[Exchange], Awaitable[None]]


class Transcoder:
    """Serves every annotated RPC of a contract as REST.

    ``channels`` maps a service's full name to the channel it is reached by. Raises ContractError
    for annotations that cannot be served and for routes that contradict each other.
    """

    def __init__(
        self,
        contract: Contract,
        channels: Mapping[str, grpc.aio.Channel],
        options: TranscoderOptions | None = None,
    ) -> None:
        self._options = options or TranscoderOptions()
        self._router: Router[Endpoint] = Router()
        self._shapes: dict[str, EventShape] = {}
        self._streams: set[LiveCall] = set()
        self._draining = False
        codecs = JsonCodecs(contract.pool, short_enums=self._options.short_enums)
        for method in contract.methods:
            for rule in method.rules:
                try:
                    channel = channels[method.service]
                    endpoint = Endpoint(method, rule, codecs, channel, self._options)
                    self._router.add(rule.verb, rule.template, endpoint)
                    self._shapes[method.full_name] = EventShape(method)
                except ContractError as exc:
                    raise ContractError(f"{method.full_name}: {exc}") from exc
                except KeyError as exc:
                    raise ContractError(f"no channel leads to {method.service}") from exc

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI, for scopes of type http."""
        await self.handle(scope, receive, send, self._serve)

    async def handle(self, scope: Scope, receive: Receive, send: Send, serve: Serve) -> None:
        """Answers a request by ``serve`` with the errors, ids and limits of the API's own."""
        if scope["type"] != "http":
            raise ContractError(f"a scope of type {scope['type']} is not served")
        limits = self._options
        exchange = Exchange(
            scope, receive, send, send_timeout=limits.send_timeout, idle=limits.upload_idle
        )
        try:
            await serve(exchange)
        except HttpError as exc:
            await self._fail(exchange, exc)
        except (Disconnected, SlowClient):
            log.debug("client_gone", path=exchange.raw_path)
        except Exception:
            # Whatever it is, the client gets a status and nothing else.
            log.exception("request_failed", request_id=exchange.request_id.decode())
            await self._fail(exchange, internal_error())

    def drain(self) -> None:
        """Ends open event streams with a hint to come back; answers in progress go on."""
        self._draining = True
        for live in list(self._streams):
            live.stop(Draining())

    @property
    def open_streams(self) -> int:
        """How many event streams are open."""
        return len(self._streams)

    async def _serve(self, exchange: Exchange) -> None:
        match = self._router.match(exchange.method, exchange.raw_path)
        if match is None and exchange.head:
            match = self._router.match("GET", exchange.raw_path)
        if match is None:
            await self._no_route(exchange)
            return
        endpoint = match.route
        try:
            await self._call(endpoint, exchange, match.values())
        except grpc.aio.AioRpcError as exc:
            code = exc.code()
            if code in (grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL):
                log.error("call_failed", rpc=str(endpoint), code=code.name)
            raise from_rpc(exc, endpoint.method.request) from exc
        except JsonError as exc:
            log.error("message_not_printable", rpc=str(endpoint), reason=str(exc))
            raise internal_error() from exc

    async def _call(self, endpoint: Endpoint, exchange: Exchange, values: list[str]) -> None:
        descriptor = endpoint.method.descriptor
        if not descriptor.client_streaming and not descriptor.server_streaming:
            await serve_unary(endpoint, exchange, values)
            return
        request: Any = None
        if descriptor.client_streaming:
            live = await begin_streaming(endpoint, exchange, values)
        else:
            request = await endpoint.read_request(exchange, values)
            call = await endpoint.begin(exchange, request)
            live = LiveCall(call, watch_client(exchange))
        try:
            await self._answer(endpoint, exchange, live, request)
        finally:
            self._streams.discard(live)
            await live.close()

    async def _answer(
        self, endpoint: Endpoint, exchange: Exchange, live: LiveCall, request: Any
    ) -> None:
        if not endpoint.method.descriptor.server_streaming:
            response = await live.response()
            await live.leave_client()
            await answer_message(endpoint, exchange, request, response, [])
        elif endpoint.raw_response is not None:
            await serve_bytes(endpoint, exchange, live, request)
        else:
            self._streams.add(live)
            if self._draining:
                live.stop(Draining())
            await serve_events(endpoint, exchange, live, self._shapes[endpoint.method.full_name])

    async def _no_route(self, exchange: Exchange) -> None:
        allowed = self._router.allowed(exchange.raw_path)
        if not allowed:
            raise refusal(404, code_pb2.NOT_FOUND, "ROUTE_NOT_FOUND", "no such route")
        if "GET" in allowed:
            allowed.append("HEAD")
        header = (b"allow", ", ".join(sorted({*allowed, "OPTIONS"} - {ANY_METHOD})).encode())
        if exchange.method == "OPTIONS":
            await exchange.answer(204, [header])
            return
        raise refusal(
            405,
            code_pb2.UNIMPLEMENTED,
            "METHOD_NOT_ALLOWED",
            f"{exchange.method} is not a method of this route",
            headers=[header],
        )

    async def _fail(self, exchange: Exchange, error: HttpError) -> None:
        if exchange.started:
            exchange.abort()
            return
        body = status_bytes(error.status, self._options.error_domain, exchange.request_id.decode())
        headers = [
            (b"content-type", b"application/json"),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
            *error.headers,
        ]
        try:
            await exchange.answer(error.http, headers, body)
        except SlowClient:
            log.debug("client_gone", path=exchange.raw_path)
