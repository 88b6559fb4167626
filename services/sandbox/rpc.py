"""SandboxService."""

# gRPC gives the handlers their names, and each the request and the context.
# ruff: noqa: ARG002, N802

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

import grpc
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.empty_pb2 import Empty

from kit.context import current_user
from kit.errors import Invalid, ServiceError
from kit.metadata import CONTENT_LENGTH
from kit.paths import checked_path, media_type
from protos.files.v1 import files_pb2
from protos.sandbox.v1 import sandbox_pb2, sandbox_pb2_grpc
from services.sandbox import command_convert, convert
from services.sandbox.model import Origin
from services.sandbox.service.access import Access
from services.sandbox.service.archives import Archives
from services.sandbox.service.commands import Commands
from services.sandbox.service.drafts import Drafts
from services.sandbox.service.extension import Extension
from services.sandbox.service.file_events import FileEvents
from services.sandbox.service.files import Files
from services.sandbox.service.intake import Begin, End, Intake, Limits
from services.sandbox.service.lifecycle import Lifecycle
from services.sandbox.service.measuring import Measuring
from services.sandbox.service.ports import Ports
from services.sandbox.service.syncing import Syncing
from services.sandbox.service.usage import Reckoning
from services.sandbox.service.writing import Writing

Context = grpc.aio.ServicerContext[Any, Any]
# Seen to take 13 ms at most.
_CANCEL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class UseCases:
    """What the handlers call."""

    access: Access
    lifecycle: Lifecycle
    extension: Extension
    reckoning: Reckoning
    files: Files
    writing: Writing
    commands: Commands
    command_seconds: int
    """A command's timeout where its caller names none."""
    ports: Ports
    measuring: Measuring
    archives: Archives
    drafts: Drafts
    file_events: FileEvents
    syncing: Syncing
    limits: Limits


class SandboxServicer(sandbox_pb2_grpc.SandboxServiceServicer):
    """Handlers: what each does is said in the proto."""

    def __init__(self, use: UseCases) -> None:
        """Calls these use cases."""
        self._use = use

    async def CreateSandbox(
        self, request: sandbox_pb2.CreateSandboxRequest, context: Context
    ) -> sandbox_pb2.CreateSandboxResponse:
        owner = await self._use.access.check(request.project_id)
        return convert.created(await self._use.lifecycle.answering(request.project_id, owner))

    async def GetSandbox(
        self, request: sandbox_pb2.GetSandboxRequest, context: Context
    ) -> sandbox_pb2.Sandbox:
        owner = await self._use.access.check(request.project_id)
        return convert.sandbox(await self._use.lifecycle.get(request.project_id, owner))

    async def CloseSandbox(
        self, request: sandbox_pb2.CloseSandboxRequest, context: Context
    ) -> sandbox_pb2.Sandbox:
        owner = await self._use.access.check(request.project_id)
        await self._use.syncing.before_closing(request.project_id, owner)
        return convert.sandbox(await self._use.lifecycle.close(request.project_id, owner))

    async def ExtendSandbox(
        self, request: sandbox_pb2.ExtendSandboxRequest, context: Context
    ) -> sandbox_pb2.Sandbox:
        owner = await self._use.access.check(request.project_id)
        return convert.sandbox(
            await self._use.extension.extend(request.project_id, owner, request.seconds)
        )

    async def PauseSandbox(
        self, request: sandbox_pb2.PauseSandboxRequest, context: Context
    ) -> sandbox_pb2.Sandbox:
        owner = await self._use.access.check(request.project_id)
        await self._use.syncing.before_closing(request.project_id, owner)
        return convert.sandbox(await self._use.extension.pause(request.project_id, owner))

    async def ResumeSandbox(
        self, request: sandbox_pb2.ResumeSandboxRequest, context: Context
    ) -> sandbox_pb2.Sandbox:
        owner = await self._use.access.check(request.project_id)
        return convert.sandbox(
            await self._use.lifecycle.answering(request.project_id, owner, make=False)
        )

    async def ListSandboxFiles(
        self, request: sandbox_pb2.ListSandboxFilesRequest, context: Context
    ) -> sandbox_pb2.ListSandboxFilesResponse:
        folder = convert.folder(request.path)
        owner = await self._use.access.check(request.project_id)
        entries = await self._use.files.list(request.project_id, owner, folder, request.depth)
        return sandbox_pb2.ListSandboxFilesResponse(entries=map(convert.entry, entries))

    async def ReadSandboxFile(
        self, request: sandbox_pb2.ReadSandboxFileRequest, context: Context
    ) -> AsyncIterator[HttpBody]:
        path = checked_path(request.path)
        owner = await self._use.access.check(request.project_id)
        async with aclosing(await self._use.files.read(request.project_id, owner, path)) as chunks:
            await context.send_initial_metadata(())
            # The type comes first, also of a file without a byte.
            yield HttpBody(content_type=media_type(path))
            async for data in chunks:
                yield HttpBody(data=data)

    async def UploadSandboxFile(
        self,
        request_iterator: AsyncIterator[sandbox_pb2.UploadSandboxFileRequest],
        context: Context,
    ) -> files_pb2.FileEntry:
        first = await anext(aiter(request_iterator), None)
        if first is None or not first.project_id:
            raise Invalid.field("project_id", "must be in the first message")
        path = checked_path(first.path)
        owner = await self._use.access.check(first.project_id)
        with Intake(self._use.limits) as intake:
            intake.accept(Begin(path))
            intake.accept(first.content.data)
            arrived = len(first.content.data)
            async for message in request_iterator:
                intake.accept(message.content.data)
                arrived += len(message.content.data)
            await _check_whole(context, arrived)
            intake.accept(End())
            written, _ = await self._use.writing.write(
                first.project_id, owner, Origin(), intake.steps()
            )
        return convert.file_entry(written.files[0])

    async def DeleteSandboxFile(
        self, request: sandbox_pb2.DeleteSandboxFileRequest, context: Context
    ) -> Empty:
        path = checked_path(request.path)
        owner = await self._use.access.check(request.project_id)
        await self._use.writing.delete(request.project_id, owner, path)
        return Empty()

    async def UploadArchive(
        self,
        request_iterator: AsyncIterator[sandbox_pb2.UploadArchiveRequest],
        context: Context,
    ) -> sandbox_pb2.UploadArchiveResponse:
        first = await anext(aiter(request_iterator), None)
        if first is None or not first.project_id:
            raise Invalid.field("project_id", "must be in the first message")
        folder = checked_path(first.path) if first.path else ""
        owner = await self._use.access.check(first.project_id)
        with self._use.archives.arriving() as archive:
            archive.accept(first.content.data)
            async for message in request_iterator:
                archive.accept(message.content.data)
            await _check_whole(context, archive.arrived)
            written = await self._use.archives.upload(first.project_id, owner, folder, archive)
        return convert.archive_unpacked(written)

    async def DownloadArchive(
        self, request: sandbox_pb2.DownloadArchiveRequest, context: Context
    ) -> AsyncIterator[HttpBody]:
        folder = checked_path(request.path) if request.path else ""
        owner = await self._use.access.check(request.project_id)
        found = await self._use.archives.download(request.project_id, owner, folder)
        async with aclosing(found) as chunks:
            kind = "application/zip"
            async for chunk in chunks:
                yield HttpBody(content_type=kind, data=chunk)
                kind = ""

    async def GetSandboxUsage(
        self, request: sandbox_pb2.GetSandboxUsageRequest, context: Context
    ) -> sandbox_pb2.SandboxUsage:
        return convert.usage(await self._use.reckoning.usage(current_user()))

    async def WatchSandboxFiles(
        self, request: sandbox_pb2.WatchSandboxFilesRequest, context: Context
    ) -> AsyncIterator[sandbox_pb2.SandboxFileEvent]:
        owner = await self._use.access.check(request.project_id)
        sequence = 0
        async with aclosing(self._use.file_events.watch(request.project_id, owner)) as events:
            async for event in events:
                sequence += 1
                yield convert.file_event(event, sequence)

    async def RunCommand(
        self, request: sandbox_pb2.RunCommandRequest, context: Context
    ) -> AsyncIterator[sandbox_pb2.CommandEvent]:
        command = command_convert.command(request, self._use.command_seconds)
        owner = await self._use.access.check(request.project_id)
        following = self._use.commands.begin(request.project_id, owner, command)
        # Also where the caller goes away while this handler waits to be asked for more.
        # The stubs ask for a class of their own where any callable does.
        context.add_done_callback(lambda _: following.end())  # type: ignore[arg-type]
        async with aclosing(following.events()) as events:
            sequence = 0
            async for event in events:
                sequence += 1
                yield command_convert.event(sequence, event)

    async def ListSandboxPorts(
        self, request: sandbox_pb2.ListSandboxPortsRequest, context: Context
    ) -> sandbox_pb2.ListSandboxPortsResponse:
        owner = await self._use.access.check(request.project_id)
        ports = await self._use.ports.list(request.project_id, owner)
        return sandbox_pb2.ListSandboxPortsResponse(ports=map(command_convert.port, ports))

    async def GetSandboxStats(
        self, request: sandbox_pb2.GetSandboxStatsRequest, context: Context
    ) -> sandbox_pb2.SandboxStats:
        owner = await self._use.access.check(request.project_id)
        return convert.stats(await self._use.measuring.stats(request.project_id, owner))

    async def EnsureSandbox(
        self, request: sandbox_pb2.EnsureSandboxRequest, context: Context
    ) -> sandbox_pb2.EnsureSandboxResponse:
        owner = await self._use.access.check(request.project_id)
        found = await self._use.lifecycle.answering(
            request.project_id, owner, request.generation_id
        )
        made = bool(request.generation_id) and found.generation_id == request.generation_id
        return sandbox_pb2.EnsureSandboxResponse(sandbox=convert.sandbox(found), created=made)

    async def WriteFiles(
        self,
        request_iterator: AsyncIterator[sandbox_pb2.WriteFilesRequest],
        context: Context,
    ) -> sandbox_pb2.WriteFilesResponse:
        first = await anext(aiter(request_iterator), None)
        if first is None or not first.HasField("header"):
            raise Invalid.field("header", "must be the first message")
        header = first.header
        owner = await self._use.access.check(header.project_id)
        with Intake(self._use.limits) as intake:
            async for message in request_iterator:
                if not message.HasField("operation"):
                    raise Invalid.field("header", "must be the first message only")
                intake.accept(convert.step(message.operation))
            written, sandbox = await self._use.writing.write(
                header.project_id, owner, convert.origin(header.origin), intake.steps()
            )
        origin = convert.origin(header.origin)
        if origin.generation_id and written.deleted_paths:
            # A draft that its file outlived would come to light again.
            with suppress(ServiceError):
                await self._use.drafts.discard(
                    header.project_id, owner, origin, written.deleted_paths
                )
        return sandbox_pb2.WriteFilesResponse(
            result=convert.write_result(written), sandbox=convert.sandbox(sandbox)
        )

    async def WriteDraft(self, request: sandbox_pb2.WriteDraftRequest, context: Context) -> Empty:
        origin = convert.origin(request.origin)
        if not origin.generation_id:
            raise Invalid.field("origin.generation_id", "must not be empty")
        everything = request.discard and not request.path
        paths = [] if everything else [checked_path(request.path)]
        owner = await self._use.access.check(request.project_id)
        drafts = self._use.drafts
        if request.discard:
            await drafts.discard(request.project_id, owner, origin, paths)
        else:
            await drafts.write(request.project_id, owner, origin, paths[0], request.content)
        return Empty()

    async def DiscardSandbox(
        self, request: sandbox_pb2.DiscardSandboxRequest, context: Context
    ) -> Empty:
        owner = await self._use.access.check(request.project_id)
        await self._use.lifecycle.discard(request.project_id, owner, request.generation_id)
        return Empty()


async def _check_whole(context: Context, arrived: int) -> None:
    """Raises ``Invalid`` where an upload broke off: to a handler a lost connection looks like the end of the stream."""
    metadata = dict(context.invocation_metadata() or ())
    told = str(metadata.get(CONTENT_LENGTH, ""))
    if not told.isdecimal():
        # Nobody said how much would come. A call that was lost is cancelled a moment after its stream has ended.
        await asyncio.sleep(_CANCEL_SECONDS)
    elif int(told) != arrived:
        raise Invalid.field("content", f"broke off after {arrived} of {told} bytes")
