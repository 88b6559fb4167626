"""The projects service over gRPC."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence

import grpc

from kit.errors import NotFound
from kit.status import peer_errors
from protos.files.v1 import files_pb2
from protos.projects.v1 import projects_pb2 as pb
from protos.projects.v1 import projects_pb2_grpc
from services.generation.peers import FileInfo, Origin, ProjectChange, Receipt, StoredFile, Version

_PAGE = 5_000


class ProjectsPeer:
    """``peers.Projects`` over a channel that puts token and deadline on every call."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        """``channel`` as ``kit.channels.open_channel`` opens it."""
        self._stub = projects_pb2_grpc.ProjectsServiceStub(channel)

    async def check(self, project_id: str) -> str:
        """See ``Projects``."""
        with peer_errors():
            found = await self._stub.GetProject(pb.GetProjectRequest(project_id=project_id))
        return str(found.model)

    async def manifest(self, project_id: str, version: int = 0) -> Sequence[FileInfo]:
        """See ``Projects``."""
        found: list[FileInfo] = []
        token = ""
        while True:
            request = pb.ListFilesRequest(
                project_id=project_id, version=version, page_size=_PAGE, page_token=token
            )
            with peer_errors():
                page = await self._stub.ListFiles(request)
            found += [FileInfo(file.path, file.size_bytes, file.sha256) for file in page.files]
            token = page.next_page_token
            if not token:
                return found

    async def head(self, project_id: str) -> int:
        """See ``Projects``."""
        with peer_errors():
            found = await self._stub.GetProject(pb.GetProjectRequest(project_id=project_id))
        return int(found.head_version)

    async def contents(
        self, project_id: str, paths: Sequence[str], version: int = 0
    ) -> dict[str, bytes]:
        """See ``Projects``."""
        if not paths:
            return {}
        if version:
            return {path: await self._kept(project_id, path, version) for path in paths}
        parts: defaultdict[str, list[bytes]] = defaultdict(list)
        path = ""
        request = pb.StreamFilesRequest(project_id=project_id, paths=paths)
        with peer_errors():
            async for message in self._stub.StreamFiles(request):
                if message.HasField("file"):
                    path = message.file.path
                    parts[path] = []
                else:
                    parts[path].append(message.chunk)
        return {path: b"".join(chunks) for path, chunks in parts.items()}

    async def file(self, project_id: str, path: str, most_bytes: int) -> StoredFile | None:
        """See ``Projects``."""
        call = self._stub.StreamFiles(pb.StreamFilesRequest(project_id=project_id, paths=[path]))
        info: FileInfo | None = None
        parts: list[bytes] = []
        try:
            with peer_errors():
                async for message in call:
                    if not message.HasField("file"):
                        parts.append(message.chunk)
                        continue
                    info = FileInfo(path, message.file.size_bytes, message.file.sha256)
                    if info.size_bytes > most_bytes:
                        return StoredFile(info, None)
        except NotFound as exc:
            if exc.reason != "FILE_NOT_FOUND":
                raise
            return None
        finally:
            call.cancel()
        return StoredFile(info, b"".join(parts)) if info else None

    async def _kept(self, project_id: str, path: str, version: int) -> bytes:
        request = pb.GetFileRequest(project_id=project_id, path=path, version=version)
        with peer_errors():
            return b"".join([part.data async for part in self._stub.GetFile(request)])

    async def commit_edits(self, project_id: str) -> None:
        """See ``Projects``."""
        request = pb.CommitVersionRequest(
            project_id=project_id, cause=pb.VERSION_CAUSE_EDIT, title="Edits"
        )
        with peer_errors():
            await self._stub.CommitVersion(request)

    async def commit(
        self,
        project_id: str,
        origin: Origin,
        title: str,
        receipt: Receipt,
        *,
        partial: bool,
        keep_head: bool,
    ) -> Version | None:
        """See ``Projects``."""
        request = pb.CommitVersionRequest(
            project_id=project_id,
            cause=pb.VERSION_CAUSE_GENERATION,
            origin=files_pb2.WriteOrigin(generation_id=origin.generation_id, epoch=origin.epoch),
            title=title,
            partial=partial,
            keep_head=keep_head,
            receipt=_receipt(receipt),
        )
        with peer_errors():
            answer = await self._stub.CommitVersion(request)
        if not answer.HasField("version"):
            return None
        return Version(answer.version.number, made=answer.created)

    async def changes(self, after: int) -> AsyncIterator[ProjectChange]:
        """See ``Projects``."""
        with peer_errors():
            async for change in self._stub.WatchChanges(
                pb.WatchChangesRequest(after_sequence=after)
            ):
                deleted = change.WhichOneof("kind") == "project_deleted"
                yield ProjectChange(change.sequence, change.project_id, deleted)


def _receipt(receipt: Receipt) -> pb.Receipt:
    usage, check = receipt.usage, receipt.check
    return pb.Receipt(
        model=receipt.model,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cost_usd=float(usage.cost_usd),
        estimated=usage.estimated,
        turns=usage.turns,
        checked=check is not None,
        finding_count=check.finding_count if check else 0,
    )
