"""The filesystem RPCs."""

from __future__ import annotations

from collections.abc import Mapping

from connectrpc.request import RequestContext
from e2b.envd.filesystem.filesystem_connect import Filesystem
from e2b.envd.filesystem.filesystem_pb import (
    EntryInfo,
    FileType,
    ListDirRequest,
    ListDirResponse,
    MakeDirRequest,
    MakeDirResponse,
    MoveRequest,
    MoveResponse,
    RemoveRequest,
    RemoveResponse,
    StatRequest,
    StatResponse,
)
from protobuf.wkt.google.protobuf.timestamp_pb import Timestamp

from local.sandboxes.engine import Engine
from local.sandboxes.envd.access import sandbox_of, translated, user_of
from local.sandboxes.files import Entry
from local.sandboxes.sandbox import Sandbox

_KINDS = {"file": FileType.FILE, "directory": FileType.DIRECTORY}


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

    def _called(self, headers: Mapping[str, str]) -> tuple[Sandbox, str]:
        return sandbox_of(self._engine, headers), user_of(headers.get("authorization", ""))


def message(entry: Entry) -> EntryInfo:
    """An entry as the wire has it."""
    found = EntryInfo(
        name=entry.name,
        type=_KINDS.get(entry.kind, FileType.UNSPECIFIED),
        path=entry.path,
        size=entry.size,
        mode=entry.mode,
        permissions=entry.permissions,
        owner=entry.owner,
        group=entry.group,
        modified_time=Timestamp(
            seconds=entry.modified_ns // 10**9, nanos=entry.modified_ns % 10**9
        ),
        metadata=entry.metadata,
        is_symlink=entry.is_symlink,
    )
    if entry.symlink_target is not None:
        found.symlink_target = entry.symlink_target
    return found
