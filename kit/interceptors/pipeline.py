"""One interceptor that puts request id, principal, validation, errors and the access log around every handler."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc

from kit.auth.tokens import Verifier
from kit.interceptors import request_id
from kit.interceptors.access_log import logged
from kit.interceptors.failures import reported
from kit.interceptors.principal import admit
from kit.interceptors.validation import check
from kit.methods import MethodPolicy, policy_of

if TYPE_CHECKING:
    # Generic in its stubs alone.
    Handler: TypeAlias = grpc.RpcMethodHandler[Any, Any]
else:
    Handler = grpc.RpcMethodHandler
Context = grpc.aio.ServicerContext[Any, Any]


class Pipeline(grpc.aio.ServerInterceptor):
    """Wraps each method's handler once and remembers it."""

    def __init__(self, verifier: Verifier) -> None:
        """``verifier`` tells who calls."""
        self._verifier = verifier
        self._wrapped: dict[str, Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Called by gRPC for every call before its handler."""
        method = handler_call_details.method
        if method not in self._wrapped:
            handler = await continuation(handler_call_details)
            if handler is None:
                return handler
            self._wrapped[method] = self._wrap(policy_of(method), handler)
        return self._wrapped[method]

    def _wrap(self, policy: MethodPolicy, handler: Handler) -> Handler:
        inner: Any = (
            handler.unary_unary
            or handler.unary_stream
            or handler.stream_unary
            or handler.stream_stream
        )
        make, outer = {
            (False, False): (
                grpc.unary_unary_rpc_method_handler,
                self._single(policy, inner, _one),
            ),
            (True, False): (
                grpc.stream_unary_rpc_method_handler,
                self._single(policy, inner, _each),
            ),
            (False, True): (grpc.unary_stream_rpc_method_handler, self._many(policy, inner, _one)),
            (True, True): (grpc.stream_stream_rpc_method_handler, self._many(policy, inner, _each)),
        }[bool(handler.request_streaming), bool(handler.response_streaming)]
        return make(
            outer,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    def _single(self, policy: MethodPolicy, inner: Any, checked: Callable[[Any], Any]) -> Any:
        async def answer(request: Any, context: Context) -> Any:
            async with self._around(policy, context):
                return await inner(checked(request), context)

        return answer

    def _many(self, policy: MethodPolicy, inner: Any, checked: Callable[[Any], Any]) -> Any:
        async def answer(request: Any, context: Context) -> AsyncIterator[Any]:
            async with self._around(policy, context):
                async for message in inner(checked(request), context):
                    yield message

        return answer

    @asynccontextmanager
    async def _around(self, policy: MethodPolicy, context: Context) -> AsyncIterator[None]:
        metadata = dict(context.invocation_metadata() or ())
        request_id.adopt(metadata)
        with logged(policy.path, context):
            async with reported(context):
                await admit(policy, metadata, self._verifier)
                yield


def _one(request: Any) -> Any:
    check(request)
    return request


async def _each(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        check(request)
        yield request
