"""ProjectsService."""

# gRPC gives the handlers their names, and each the request and the context.
# ruff: noqa: ARG002, N802

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.empty_pb2 import Empty

from kit.errors import Invalid
from kit.paging import page_position, page_size, page_token
from kit.paths import checked_path, media_type
from protos.projects.v1 import projects_pb2, projects_pb2_grpc
from services.projects import convert
from services.projects.rpc.caller import anybody, owner
from services.projects.service.changes import Changes
from services.projects.service.files import Files
from services.projects.service.projects import Projects
from services.projects.service.upload import Upload
from services.projects.service.versions import Versions
from services.projects.service.writes import Writes

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class UseCases:
    """What the handlers call."""

    projects: Projects
    files: Files
    writes: Writes
    versions: Versions
    changes: Changes


class ProjectsServicer(projects_pb2_grpc.ProjectsServiceServicer):
    """Handlers: what each does is said in the proto."""

    def __init__(self, use: UseCases) -> None:
        """Calls these use cases."""
        self._use = use

    async def CreateProject(
        self, request: projects_pb2.CreateProjectRequest, context: Context
    ) -> projects_pb2.Project:
        return convert.project(
            await self._use.projects.create(
                owner(),
                request.name,
                request.description,
                request.idempotency_key,
                persistent_sandbox=request.persistent_sandbox,
                model=request.model,
            )
        )

    async def ListProjects(
        self, request: projects_pb2.ListProjectsRequest, context: Context
    ) -> projects_pb2.ListProjectsResponse:
        size = page_size(request.page_size, 50, 200)
        before = _after_text(request.page_token)
        # One more than asked for tells whether there is a next page.
        found = await self._use.projects.page(owner(), before, size + 1)
        return projects_pb2.ListProjectsResponse(
            projects=[convert.project(project) for project in found[:size]],
            next_page_token=page_token(found[size - 1].project_id) if found[size:] else "",
        )

    async def GetProject(
        self, request: projects_pb2.GetProjectRequest, context: Context
    ) -> projects_pb2.Project:
        return convert.project(await self._use.projects.get(owner(), request.project_id))

    async def UpdateProject(
        self, request: projects_pb2.UpdateProjectRequest, context: Context
    ) -> projects_pb2.Project:
        changed: dict[str, str | bool] = {}
        if request.HasField("name"):
            changed["name"] = request.name
        if request.HasField("description"):
            changed["description"] = request.description
        if request.HasField("persistent_sandbox"):
            changed["persistent_sandbox"] = request.persistent_sandbox
        if request.HasField("model"):
            changed["model"] = request.model
        return convert.project(
            await self._use.projects.update(owner(), request.project_id, changed)
        )

    async def DeleteProject(
        self, request: projects_pb2.DeleteProjectRequest, context: Context
    ) -> Empty:
        await self._use.projects.delete(owner(), request.project_id)
        return Empty()

    async def ListFiles(
        self, request: projects_pb2.ListFilesRequest, context: Context
    ) -> projects_pb2.ListFilesResponse:
        size = page_size(request.page_size, 1_000, 5_000)
        after = _after_text(request.page_token) or ""
        found = await self._use.files.page(
            owner(), request.project_id, request.version, after, size + 1
        )
        more = len(found.files) > size
        return projects_pb2.ListFilesResponse(
            files=[convert.file_entry(entry) for entry in found.files[:size]],
            next_page_token=page_token(found.files[size - 1].path) if more else "",
            total_files=found.total_files,
            total_bytes=found.total_bytes,
        )

    async def GetFile(
        self, request: projects_pb2.GetFileRequest, context: Context
    ) -> AsyncIterator[HttpBody]:
        path = checked_path(request.path)
        entry = await self._use.files.find(owner(), request.project_id, request.version, path)
        await context.send_initial_metadata(())
        # The type comes first, also of a file without a byte.
        yield HttpBody(content_type=media_type(path))
        async for data in self._use.files.chunks(owner(), entry.content):
            yield HttpBody(data=data)

    async def ListVersions(
        self, request: projects_pb2.ListVersionsRequest, context: Context
    ) -> projects_pb2.ListVersionsResponse:
        size = page_size(request.page_size, 50, 200)
        before = _after_number(request.page_token)
        found = await self._use.versions.page(owner(), request.project_id, before, size + 1)
        return projects_pb2.ListVersionsResponse(
            versions=[convert.version(version) for version in found[:size]],
            next_page_token=page_token(found[size - 1].number) if found[size:] else "",
        )

    async def PutFiles(
        self, request_iterator: AsyncIterator[projects_pb2.PutFilesRequest], context: Context
    ) -> projects_pb2.PutFilesResponse:
        header = await _header(request_iterator)
        # Before anything is set aside for a project that isn't the caller's.
        await self._use.projects.get(owner(), header.project_id)
        with Upload(self._use.writes.limits) as upload:
            async for message in request_iterator:
                if not message.HasField("operation"):
                    raise Invalid.field("header", "must be the first message only")
                upload.accept(convert.step(message.operation))
            result = await self._use.writes.put(
                owner(),
                header.project_id,
                convert.origin(header.origin),
                upload,
                seen_change=header.seen_change if header.HasField("seen_change") else None,
            )
        return projects_pb2.PutFilesResponse(result=convert.write_result(result))

    async def StreamFiles(
        self, request: projects_pb2.StreamFilesRequest, context: Context
    ) -> AsyncIterator[projects_pb2.StreamFilesResponse]:
        paths = [checked_path(path, "paths") for path in request.paths]
        entries = await self._use.files.all(owner(), request.project_id, paths)
        await context.send_initial_metadata(())
        async for entry, chunks in self._use.files.contents(owner(), entries):
            yield projects_pb2.StreamFilesResponse(file=convert.file_entry(entry))
            async for chunk in chunks:
                yield projects_pb2.StreamFilesResponse(chunk=chunk)

    async def CommitVersion(
        self, request: projects_pb2.CommitVersionRequest, context: Context
    ) -> projects_pb2.CommitVersionResponse:
        return convert.commit(
            await self._use.versions.commit(
                owner(), request.project_id, convert.commit_request(request)
            )
        )

    async def ReportSandbox(
        self, request: projects_pb2.ReportSandboxRequest, context: Context
    ) -> Empty:
        await self._use.projects.report_sandbox(
            anybody(),
            request.project_id,
            request.sandbox_id,
            convert.sandbox_status(request.status),
            request.revision,
        )
        return Empty()

    async def WatchChanges(
        self, request: projects_pb2.WatchChangesRequest, context: Context
    ) -> AsyncIterator[projects_pb2.Change]:
        await context.send_initial_metadata(())
        async for change in self._use.changes.follow(request.after_sequence, anybody()):
            yield convert.change(change)


async def _header(
    requests: AsyncIterator[projects_pb2.PutFilesRequest],
) -> projects_pb2.PutFilesHeader:
    async for message in requests:
        if message.HasField("header"):
            return message.header
        break
    raise Invalid.field("header", "must be the first message")


def _after_text(token: str) -> str | None:
    position = page_position(token, str)
    return str(position[0]) if position else None


def _after_number(token: str) -> int | None:
    position = page_position(token, int)
    if not position:
        return None
    number = int(position[0])
    if not 0 < number < 2**31:
        raise Invalid.field("page_token", "is not a token that this server gave")
    return number
