"""The sandbox service over gRPC."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from kit.errors import Conflict, Unavailable
from kit.status import peer_errors
from protos.files.v1 import files_pb2
from protos.sandbox.v1 import sandbox_pb2 as pb
from protos.sandbox.v1 import sandbox_pb2_grpc
from services.generation.model import Sandbox
from services.generation.peers import FileInfo, Origin, Ran, Written

_CHUNK = 512 * 1024


class SandboxPeer:
    """``peers.Sandboxes`` over a channel that puts token and deadline on every call."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        """``channel`` as ``kit.channels.open_channel`` opens it."""
        self._stub = sandbox_pb2_grpc.SandboxServiceStub(channel)

    async def ensure(self, project_id: str, generation_id: str) -> Sandbox:
        """See ``Sandboxes``."""
        request = pb.EnsureSandboxRequest(project_id=project_id, generation_id=generation_id)
        with _errors():
            answer = await self._stub.EnsureSandbox(request)
        return _sandbox(answer.sandbox)

    async def write(
        self,
        project_id: str,
        origin: Origin,
        path: str,
        content: bytes,
        expected: str | None = None,
    ) -> Written:
        """See ``Sandboxes``."""
        put = files_pb2.FilePut(path=path, expected_sha256=expected)
        steps = [files_pb2.FileOperation(put=put)]
        steps += [
            files_pb2.FileOperation(chunk=content[start : start + _CHUNK])
            for start in range(0, len(content), _CHUNK)
        ]
        return _written(await self._apply(project_id, origin, steps), path)

    async def delete(
        self, project_id: str, origin: Origin, path: str, expected: str | None = None
    ) -> Written:
        """See ``Sandboxes``."""
        gone = files_pb2.FileDelete(path=path, expected_sha256=expected)
        step = files_pb2.FileOperation(delete=gone)
        answer = await self._apply(project_id, origin, [step])
        return Written(_sandbox(answer.sandbox))

    async def rename(
        self, project_id: str, origin: Origin, path: str, to_path: str, expected: str
    ) -> Written:
        """See ``Sandboxes``."""
        # A rename replaces what is there: putting an empty file first fails where something is.
        put = files_pb2.FilePut(path=to_path, expected_sha256="")
        moved = files_pb2.FileRename(from_path=path, to_path=to_path, expected_sha256=expected)
        steps = [files_pb2.FileOperation(put=put), files_pb2.FileOperation(rename=moved)]
        return _written(await self._apply(project_id, origin, steps), to_path)

    async def run(
        self, project_id: str, origin: Origin, command: str, seconds: int, most_bytes: int
    ) -> Ran:
        """See ``Sandboxes``."""
        request = pb.RunCommandRequest(
            project_id=project_id,
            command=command,
            timeout_seconds=seconds,
            origin=files_pb2.WriteOrigin(generation_id=origin.generation_id, epoch=origin.epoch),
        )
        call = self._stub.RunCommand(request)
        output = OutputEnd(most_bytes)
        try:
            with _errors():
                async for event in call:
                    output.add(event.stdout.text or event.stderr.text)
                    if event.HasField("exited"):
                        ended = event.exited
                        cut = output.cut or ended.truncated
                        return Ran(ended.exit_code, ended.cause, output.text, cut)
        finally:
            call.cancel()
        raise Unavailable("the command's end did not arrive")

    async def draft(
        self, project_id: str, origin: Origin, path: str, content: bytes, *, discard: bool = False
    ) -> None:
        """See ``Sandboxes``."""
        request = pb.WriteDraftRequest(
            project_id=project_id,
            origin=files_pb2.WriteOrigin(generation_id=origin.generation_id, epoch=origin.epoch),
            path=path,
            content=content,
            discard=discard,
        )
        with _errors():
            await self._stub.WriteDraft(request)

    async def discard(self, project_id: str, generation_id: str) -> None:
        """See ``Sandboxes``."""
        request = pb.DiscardSandboxRequest(project_id=project_id, generation_id=generation_id)
        with _errors():
            await self._stub.DiscardSandbox(request)

    async def _apply(
        self, project_id: str, origin: Origin, steps: list[files_pb2.FileOperation]
    ) -> pb.WriteFilesResponse:
        with _errors():
            return await self._stub.WriteFiles(_messages(project_id, origin, steps))


@contextmanager
def _errors() -> Iterator[None]:
    """A sandbox that is closed while it is made is made again by the next call."""
    try:
        with peer_errors():
            yield
    except Conflict as exc:
        if exc.reason != "SANDBOX_CLOSED":
            raise
        raise Unavailable(exc.message, reason=exc.reason) from exc


class OutputEnd:
    """The last so many bytes of a text that arrives in pieces."""

    def __init__(self, most_bytes: int) -> None:
        """Empty."""
        self._most = most_bytes
        self._end = b""
        self.cut = False

    def add(self, text: str) -> None:
        """What comes next."""
        self._end += text.encode()
        if len(self._end) > self._most:
            self.cut = True
            self._end = self._end[-self._most :]

    @property
    def text(self) -> str:
        """Never begins inside of a character."""
        return self._end.decode(errors="ignore")


def _written(answer: pb.WriteFilesResponse, path: str) -> Written:
    entry = next(file for file in answer.result.files if file.path == path)
    return Written(_sandbox(answer.sandbox), FileInfo(entry.path, entry.size_bytes, entry.sha256))


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
