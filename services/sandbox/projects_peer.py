"""The projects service as this one sees it: whose a project is, its files, and what happens to it."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

import grpc

from kit.errors import NotFound, Unavailable
from kit.status import peer_errors
from protos.files.v1 import files_pb2
from protos.projects.v1 import projects_pb2, projects_pb2_grpc
from services.sandbox import convert
from services.sandbox.model import (
    Change,
    Content,
    Delete,
    Origin,
    Put,
    Rename,
    Report,
    Status,
    Step,
    StoredFile,
    Written,
)

SERVICE = "sandwright.projects.v1.ProjectsService"
CHUNK_BYTES = 1024 * 1024
_MEMORY_BYTES = 256 * 1024
_PAGE = 5_000
_STATUSES = {
    Status.CREATING: projects_pb2.SANDBOX_STATUS_INACTIVE,
    Status.ACTIVE: projects_pb2.SANDBOX_STATUS_ACTIVE,
    Status.PAUSED: projects_pb2.SANDBOX_STATUS_PAUSED,
    Status.CLOSED: projects_pb2.SANDBOX_STATUS_INACTIVE,
}


class ProjectsPeer:
    """Calls to the projects service. Its errors come out as ours."""

    def __init__(self, channel: grpc.aio.Channel, write_seconds: float) -> None:
        """``write_seconds``: how long one write may take, the sandbox's part of it included."""
        self._stub = projects_pb2_grpc.ProjectsServiceStub(channel)
        self._write_seconds = write_seconds

    async def owner(self, project_id: str) -> str:
        """Who owns a project of the calling user. Raises ``NotFound`` where it is somebody else's."""
        with peer_errors():
            found = await self._stub.GetProject(
                projects_pb2.GetProjectRequest(project_id=project_id)
            )
        return found.owner_id

    async def persistent(self, project_id: str) -> bool:
        """Whether a project's sandbox is kept. Raises ``NotFound``."""
        with peer_errors():
            found = await self._stub.GetProject(
                projects_pb2.GetProjectRequest(project_id=project_id)
            )
        return found.persistent_sandbox

    async def put(
        self,
        project_id: str,
        origin: Origin,
        steps: Sequence[Step],
        ready: asyncio.Event,
        *,
        seen_change: int | None = None,
    ) -> Written:
        """Writes steps, all or none. Everything is sent at once, but takes effect only when ``ready`` is set.

        ``seen_change``: refused (FILES_RESET) where the project's files were reset after this change.

        Raises what PutFiles raises. Cancelled before ``ready``, nothing has happened.
        """
        with peer_errors():
            answer = await self._stub.PutFiles(
                _put_messages(_header(project_id, origin, seen_change), steps, ready),
                timeout=self._write_seconds,
            )
        return convert.written(answer.result)

    async def list(self, project_id: str) -> dict[str, StoredFile]:
        """All files of a project by their paths."""
        found: dict[str, StoredFile] = {}
        token = ""
        while True:
            request = projects_pb2.ListFilesRequest(
                project_id=project_id, page_size=_PAGE, page_token=token
            )
            with peer_errors():
                page = await self._stub.ListFiles(request)
            found |= {entry.path: convert.stored_file(entry) for entry in page.files}
            token = page.next_page_token
            if not token:
                return found

    async def has(self, project_id: str, path: str) -> bool:
        """Whether the store has this file."""
        call = self._stub.GetFile(projects_pb2.GetFileRequest(project_id=project_id, path=path))
        try:
            with peer_errors():
                await anext(aiter(call))
        except NotFound as exc:
            if exc.reason != "FILE_NOT_FOUND":
                raise
            return False
        finally:
            call.cancel()
        return True

    async def contents(
        self, project_id: str, paths: Sequence[str] = ()
    ) -> AsyncGenerator[tuple[StoredFile, Content], None]:
        """Files with their bytes, those of ``paths`` or all. Who iterates closes each content."""
        request = projects_pb2.StreamFilesRequest(project_id=project_id, paths=paths)
        arriving: _Arriving | None = None
        try:
            with peer_errors():
                async for message in self._stub.StreamFiles(request):
                    if message.HasField("file"):
                        done, arriving = arriving, _Arriving(convert.stored_file(message.file))
                        if done is not None:
                            yield done.complete()
                    elif arriving is not None:
                        arriving.spool.write(message.chunk)
            if arriving is not None:
                done, arriving = arriving, None
                yield done.complete()
        finally:
            if arriving is not None:
                arriving.spool.close()

    async def report(self, report: Report) -> None:
        """Tells of a project's sandbox."""
        gone = report.status is Status.CLOSED
        with peer_errors():
            await self._stub.ReportSandbox(
                projects_pb2.ReportSandboxRequest(
                    project_id=report.project_id,
                    sandbox_id="" if gone else report.sandbox_id,
                    status=_STATUSES[report.status],
                    revision=report.revision,
                )
            )

    async def changes(self, after: int) -> AsyncGenerator[Change, None]:
        """What happens to projects, after a sequence number, for as long as the peer runs."""
        request = projects_pb2.WatchChangesRequest(after_sequence=after)
        with peer_errors():
            async for change in self._stub.WatchChanges(request):
                yield convert.change(change)


class _Arriving:
    """A file whose content is on its way."""

    def __init__(self, file: StoredFile) -> None:
        self.file = file
        # Handed on with the content, or closed by who reads the stream.
        self.spool = tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES)  # noqa: SIM115

    def complete(self) -> tuple[StoredFile, Content]:
        size = self.spool.tell()
        if size != self.file.size_bytes:
            self.spool.close()
            raise Unavailable("the store sent a file in part", retry_after=1.0)
        return self.file, Content(self.spool, size)


def _header(
    project_id: str, origin: Origin, seen_change: int | None
) -> projects_pb2.PutFilesHeader:
    return projects_pb2.PutFilesHeader(
        project_id=project_id,
        origin=files_pb2.WriteOrigin(
            generation_id=origin.generation_id,
            epoch=origin.epoch,
            operation_id=origin.operation_id,
        ),
        seen_change=seen_change,
    )


async def _put_messages(
    header: projects_pb2.PutFilesHeader, steps: Sequence[Step], ready: asyncio.Event
) -> AsyncIterator[projects_pb2.PutFilesRequest]:
    yield projects_pb2.PutFilesRequest(header=header)
    for step in steps:
        yield projects_pb2.PutFilesRequest(operation=_operation(step))
        if isinstance(step, Put):
            for begin in range(0, step.content.size, CHUNK_BYTES):
                chunk = step.content.piece(begin, CHUNK_BYTES)
                yield projects_pb2.PutFilesRequest(operation=files_pb2.FileOperation(chunk=chunk))
    # The end is what makes it take effect.
    await ready.wait()
    yield projects_pb2.PutFilesRequest(operation=files_pb2.FileOperation(end=files_pb2.WriteEnd()))


def _operation(step: Step) -> files_pb2.FileOperation:
    match step:
        case Put(path, _, expected):
            return files_pb2.FileOperation(
                put=files_pb2.FilePut(path=path, expected_sha256=expected)
            )
        case Delete(path, expected):
            return files_pb2.FileOperation(
                delete=files_pb2.FileDelete(path=path, expected_sha256=expected)
            )
        case Rename(old, new, expected):
            return files_pb2.FileOperation(
                rename=files_pb2.FileRename(from_path=old, to_path=new, expected_sha256=expected)
            )
