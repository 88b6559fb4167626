"""The sandbox service over gRPC."""

from __future__ import annotations

from collections.abc import Iterator

import grpc

from kit.status import peer_errors
from protos.files.v1 import files_pb2
from protos.sandbox.v1 import sandbox_pb2 as pb
from protos.sandbox.v1 import sandbox_pb2_grpc
from services.generation.model import Sandbox
from services.generation.peers import FileInfo, Origin, Written

_CHUNK = 512 * 1024


class SandboxPeer:
    """``peers.Sandboxes`` over a channel that puts token and deadline on every call."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        """``channel`` as ``kit.channels.open_channel`` opens it."""
        self._stub = sandbox_pb2_grpc.SandboxServiceStub(channel)

    async def ensure(self, project_id: str, generation_id: str) -> Sandbox:
        """See ``Sandboxes``."""
        request = pb.EnsureSandboxRequest(project_id=project_id, generation_id=generation_id)
        with peer_errors():
            answer = await self._stub.EnsureSandbox(request)
        return _sandbox(answer.sandbox)

    async def write(self, project_id: str, origin: Origin, path: str, content: bytes) -> Written:
        """See ``Sandboxes``."""
        steps = [files_pb2.FileOperation(put=files_pb2.FilePut(path=path))]
        steps += [
            files_pb2.FileOperation(chunk=content[start : start + _CHUNK])
            for start in range(0, len(content), _CHUNK)
        ]
        answer = await self._apply(project_id, origin, steps)
        entry = next(file for file in answer.result.files if file.path == path)
        return Written(
            _sandbox(answer.sandbox), FileInfo(entry.path, entry.size_bytes, entry.sha256)
        )

    async def delete(self, project_id: str, origin: Origin, path: str) -> Written:
        """See ``Sandboxes``."""
        step = files_pb2.FileOperation(delete=files_pb2.FileDelete(path=path))
        answer = await self._apply(project_id, origin, [step])
        return Written(_sandbox(answer.sandbox))

    async def discard(self, project_id: str, generation_id: str) -> None:
        """See ``Sandboxes``."""
        request = pb.DiscardSandboxRequest(project_id=project_id, generation_id=generation_id)
        with peer_errors():
            await self._stub.DiscardSandbox(request)

    async def _apply(
        self, project_id: str, origin: Origin, steps: list[files_pb2.FileOperation]
    ) -> pb.WriteFilesResponse:
        with peer_errors():
            return await self._stub.WriteFiles(_messages(project_id, origin, steps))


def _messages(
    project_id: str, origin: Origin, steps: list[files_pb2.FileOperation]
) -> Iterator[pb.WriteFilesRequest]:
    header = pb.WriteFilesHeader(
        project_id=project_id,
        origin=files_pb2.WriteOrigin(
            generation_id=origin.generation_id,
            epoch=origin.epoch,
            operation_id=origin.operation_id,
        ),
    )
    yield pb.WriteFilesRequest(header=header)
    for step in [*steps, files_pb2.FileOperation(end=files_pb2.WriteEnd())]:
        yield pb.WriteFilesRequest(operation=step)


def _sandbox(message: pb.Sandbox) -> Sandbox:
    return Sandbox(message.sandbox_id, message.sandbox_url, message.preview_url)
