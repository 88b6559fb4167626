"""A real gRPC server that answers the sample's RPCs and remembers what it was asked."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import any_pb2, duration_pb2, message_factory
from google.rpc import error_details_pb2, status_pb2
from grpc_status.rpc_status import to_status

from tests.unit.gateway.sample.contract import new, sample_contract

MAX_MESSAGE = 1024 * 1024 + 4096  # a chunk and its frame: what the platform's servers promise


@dataclass
class SampleService:
    """State that tests look at and steer by."""

    asked: list[Any] = field(default_factory=list)
    open_watches: int = 0
    cancelled_watches: int = 0
    open_uploads: int = 0
    cancelled_uploads: int = 0
    received: int = 0  # bytes of the upload under way
    may_read: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    sent: int = 0  # bytes of the download under way

    async def get_item(self, request: Any, _: Any) -> Any:
        self.asked.append(request)
        return new("Item", name=request.name, revision="r1", display_name=request.shelf)

    async def list_items(self, request: Any, _: Any) -> Any:
        self.asked.append(request)
        items = [new("Item", name=f"items/{n}", big=2**53 + n) for n in range(request.page_size)]
        return new("ListItemsResponse", items=items)

    async def create_item(self, request: Any, _: Any) -> Any:
        self.asked.append(request)
        return request.item

    async def same(self, request: Any, _: Any) -> Any:
        self.asked.append(request)
        return request

    async def delete_item(self, request: Any, _: Any) -> Any:
        self.asked.append(request)
        pool = sample_contract().pool
        return message_factory.GetMessageClass(
            pool.FindMessageTypeByName("google.protobuf.Empty")
        )()

    async def fail(self, request: Any, context: Any) -> Any:
        if request.crash:
            raise RuntimeError("the secret is 42")
        status = status_pb2.Status(code=request.code, message=request.message)
        details: dict[str, Any] = {
            "info": error_details_pb2.ErrorInfo(reason="ITS_REASON", domain="elsewhere"),
            "retry": error_details_pb2.RetryInfo(
                retry_delay=duration_pb2.Duration(seconds=6, nanos=1)
            ),
            "bad_request": error_details_pb2.BadRequest(
                field_violations=[
                    error_details_pb2.BadRequest.FieldViolation(
                        field="some_list[3].display_name", description="is bad"
                    )
                ]
            ),
        }
        for name in request.details:
            packed = any_pb2.Any()
            packed.Pack(details[name])
            status.details.append(packed)
        if request.details:
            await context.abort_with_status(to_status(status))
        code = next(item for item in grpc.StatusCode if item.value[0] == request.code)
        await context.abort(code, request.message)

    async def inspect(self, _: Any, context: Any) -> Any:
        metadata = {
            key: value if isinstance(value, str) else value.hex()
            for key, value in context.invocation_metadata()
        }
        await context.send_initial_metadata((("x-early", "one"), ("x-bin-bin", b"\x00\x01")))
        context.set_trailing_metadata((("x-late", "two"),))
        return new("InspectResponse", metadata=metadata, seconds_left=context.time_remaining() or 0)

    async def watch(self, request: Any, context: Any) -> AsyncIterator[Any]:
        self.asked.append(request)
        self.open_watches += 1
        ended = False
        try:
            async for event in self._script(request, context):
                yield event
            ended = True
        finally:
            # A cancelled call shows as CancelledError, GeneratorExit or a failed write, by its moment.
            self.open_watches -= 1
            self.cancelled_watches += not ended

    async def _script(self, request: Any, context: Any) -> AsyncIterator[Any]:
        if request.script == "refused":
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such watch")
        if request.script == "opening":
            await self.go_on.wait()
        await context.send_initial_metadata(())
        if request.script == "quiet":
            await self.go_on.wait()
        if request.script == "flood":
            while True:
                yield new("Event", sequence=1, text_delta="x" * 65536)
        for sequence in range(request.after + 1, 4):
            leaf = {"leaf_added": new("Leaf", display_name="end")}
            text = {"text_delta": f"line {sequence}\nnext"}
            yield new("Event", sequence=sequence, **(leaf if sequence == 3 else text))
        if request.script == "broken":
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "too much")
        if request.script == "endless":
            await self.go_on.wait()

    async def download(self, request: Any, context: Any) -> AsyncIterator[Any]:
        if request.path.startswith("missing"):
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such file")
        await context.send_initial_metadata(())
        chunk = bytes(range(256)) * 1024
        left = request.size
        first = {"content_type": "text/html; charset=utf-8"}
        while left > 0:
            data = chunk[:left]
            left -= len(data)
            self.sent += len(data)
            yield http_body(data=data, **first)
            first = {}
            if request.path.startswith("broken"):
                await context.abort(grpc.StatusCode.UNAVAILABLE, "the disk is gone")

    async def upload(self, requests: AsyncIterator[Any], context: Any) -> Any:
        digest, first, count, largest = hashlib.sha256(), None, 0, 0
        self.open_uploads += 1
        ended = False
        try:
            async for request in requests:
                if first is None:
                    first = request
                    await self._check_upload(first, context)
                count += 1
                largest = max(largest, len(request.content.data))
                self.received += len(request.content.data)
                digest.update(request.content.data)
            # To grpc.aio a cancelled stream looks finished first; the cancellation comes right after.
            await asyncio.sleep(0.1)
            ended = True
        finally:
            self.open_uploads -= 1
            self.cancelled_uploads += not ended
        assert first is not None
        return new(
            "UploadResponse",
            path=first.path,
            note=first.note,
            content_type=first.content.content_type,
            size=self.received,
            messages=count,
            largest=largest,
            sha256=digest.hexdigest(),
        )

    async def _check_upload(self, first: Any, context: Any) -> None:
        if first.path.startswith("forbidden"):
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "not there")
        if first.path.startswith("held"):
            await self.may_read.wait()

    async def chat(self, requests: AsyncIterator[Any], _: Any) -> AsyncIterator[Any]:
        async for request in requests:
            yield new("Leaf", display_name=request.display_name.upper())

    async def render(self, request: Any, _: Any) -> Any:
        return http_body(data=f"<b>{request.name}</b>".encode(), content_type="text/html")


def http_body(**fields: Any) -> Any:
    """An HttpBody of the sample's pool."""
    descriptor = sample_contract().pool.FindMessageTypeByName("google.api.HttpBody")
    made: Any = message_factory.GetMessageClass(descriptor)
    return made(**fields)


def add_to_server(service: SampleService, server: grpc.aio.Server) -> None:
    """Registers the service under its full name."""
    behaviours: dict[str, Callable[..., Any]] = {
        "GetItem": service.get_item,
        "ListItems": service.list_items,
        "CreateItem": service.create_item,
        "PutItem": service.create_item,
        "UpdateItem": service.same,
        "CancelItem": service.same,
        "SearchItems": service.same,
        "DeleteItem": service.delete_item,
        "CustomVerb": service.get_item,
        "Echo": service.same,
        "Fail": service.fail,
        "Inspect": service.inspect,
        "InspectSlow": service.inspect,
        "Watch": service.watch,
        "Download": service.download,
        "Upload": service.upload,
        "Chat": service.chat,
        "Render": service.render,
    }
    descriptor = sample_contract().pool.FindServiceByName("sample.v1.Samples")
    handlers = {
        method.name: _handler(method, behaviours[method.name])
        for method in descriptor.methods
        if method.name in behaviours
    }
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("sample.v1.Samples", handlers),)
    )


def _handler(method: Any, behaviour: Callable[..., Any]) -> Any:
    request: Any = message_factory.GetMessageClass(method.input_type)
    response: Any = message_factory.GetMessageClass(method.output_type)
    make: Any = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[method.client_streaming, method.server_streaming]
    return make(
        behaviour,
        request_deserializer=request.FromString,
        response_serializer=response.SerializeToString,
    )
