"""The filesystem RPCs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from connectrpc.request import RequestContext
from e2b.envd.filesystem.filesystem_connect import Filesystem
from e2b.envd.filesystem.filesystem_pb import (
    CreateWatcherRequest,
    CreateWatcherResponse,
    GetWatcherEventsRequest,
    GetWatcherEventsResponse,
    ListDirRequest,
    ListDirResponse,
    MakeDirRequest,
    MakeDirResponse,
    MoveRequest,
    MoveResponse,
    RemoveRequest,
    RemoveResponse,
    RemoveWatcherRequest,
    RemoveWatcherResponse,
    StatRequest,
    StatResponse,
    WatchDirRequest,
    WatchDirResponse,
)

from local.sandboxes.engine import Engine
from local.sandboxes.envd import watch
from local.sandboxes.envd.access import sandbox_of, translated, user_of
from local.sandboxes.envd.entries import message
from local.sandboxes.envd.streams import deadline_of, keepalive_seconds
from local.sandboxes.sandbox import Sandbox
from local.sandboxes.watches import Wanted


class FilesystemService(Filesystem):
    """Each call finds its sandbox, asks the agent inside and puts the answer into messages."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def stat(
        self, request: StatRequest, ctx: RequestContext[StatRequest, StatResponse], /
    ) -> StatResponse:
        with translated():
            sandbox, user = self._called(ctx.request_headers)
            return StatResponse(entry=message(await sandbox.files.stat(user, request.path)))

    async def list_dir(
        self, request: ListDirRequest, ctx: RequestContext[ListDirRequest, ListDirResponse], /
    ) -> ListDirResponse:
        with translated():
            sandbox, user = self._called(ctx.request_headers)
            found = await sandbox.files.list(user, request.path, request.depth or 1)
            return ListDirResponse(entries=[message(entry) for entry in found])

    async def make_dir(
        self, request: MakeDirRequest, ctx: RequestContext[MakeDirRequest, MakeDirResponse], /
    ) -> MakeDirResponse:
        with translated():
            sandbox, user = self._called(ctx.request_headers)
            made = await sandbox.files.make_directory(user, request.path)
            return MakeDirResponse(entry=message(made))

    async def move(
        self, request: MoveRequest, ctx: RequestContext[MoveRequest, MoveResponse], /
    ) -> MoveResponse:
        with translated():
            sandbox, user = self._called(ctx.request_headers)
            moved = await sandbox.files.move(user, request.source, request.destination)
            return MoveResponse(entry=message(moved))

    async def remove(
        self, request: RemoveRequest, ctx: RequestContext[RemoveRequest, RemoveResponse], /
    ) -> RemoveResponse:
        with translated():
            sandbox, user = self._called(ctx.request_headers)
            await sandbox.files.remove(user, request.path)
            return RemoveResponse()

    async def watch_dir(
        self, request: WatchDirRequest, ctx: RequestContext[WatchDirRequest, WatchDirResponse], /
    ) -> AsyncIterator[WatchDirResponse]:
        with translated():
            sandbox, user = self._called(ctx.request_headers)
            keepalive = keepalive_seconds(ctx.request_headers.get("keepalive-ping-interval", ""))
            watches = sandbox.watches  # of this machine: a resumed sandbox can have another
            watched = await watches.add(_wanted(request, user))
            stream = watch.follow(watched, keepalive, deadline_of(ctx.timeout_ms))
            try:
                async for response in stream:
                    yield response
            except TimeoutError:
                raise ConnectError(Code.DEADLINE_EXCEEDED, "the watch's time is up") from None
            finally:
                await stream.aclose()
                await watches.remove(watched)

    async def create_watcher(
        self,
        request: CreateWatcherRequest,
        ctx: RequestContext[CreateWatcherRequest, CreateWatcherResponse],
        /,
    ) -> CreateWatcherResponse:
        with translated():
            sandbox, user = self._called(ctx.request_headers)
            name = await sandbox.watches.add_polled(_wanted(request, user))
            return CreateWatcherResponse(watcher_id=name)

    async def get_watcher_events(
        self,
        request: GetWatcherEventsRequest,
        ctx: RequestContext[GetWatcherEventsRequest, GetWatcherEventsResponse],
        /,
    ) -> GetWatcherEventsResponse:
        with translated():
            sandbox, _ = self._called(ctx.request_headers)
            changes = sandbox.watches.fetch(request.watcher_id)
            return GetWatcherEventsResponse(events=[watch.event(change) for change in changes])

    async def remove_watcher(
        self,
        request: RemoveWatcherRequest,
        ctx: RequestContext[RemoveWatcherRequest, RemoveWatcherResponse],
        /,
    ) -> RemoveWatcherResponse:
        with translated():
            sandbox, _ = self._called(ctx.request_headers)
            await sandbox.watches.remove_polled(request.watcher_id)
            return RemoveWatcherResponse()

    def _called(self, headers: Mapping[str, str]) -> tuple[Sandbox, str]:
        return sandbox_of(self._engine, headers), user_of(headers.get("authorization", ""))


def _wanted(request: WatchDirRequest | CreateWatcherRequest, user: str) -> Wanted:
    return Wanted(user, request.path, request.recursive, request.include_entry)
