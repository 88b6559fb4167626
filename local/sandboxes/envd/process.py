"""The process RPCs."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Mapping

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from connectrpc.request import RequestContext
from e2b.envd.process.process_connect import Process as ProcessProtocol
from e2b.envd.process.process_pb import (
    PTY,
    CloseStdinRequest,
    CloseStdinResponse,
    ConnectRequest,
    ConnectResponse,
    ListRequest,
    ListResponse,
    ProcessConfig,
    ProcessInfo,
    ProcessInput,
    ProcessSelector,
    SendInputRequest,
    SendInputResponse,
    SendSignalRequest,
    SendSignalResponse,
    Signal,
    StartRequest,
    StartResponse,
    StreamInputRequest,
    StreamInputResponse,
    UpdateRequest,
    UpdateResponse,
)
from protobuf import Oneof

from local.sandboxes import errors
from local.sandboxes.engine import Engine
from local.sandboxes.envd.access import sandbox_of, translated, user_of
from local.sandboxes.envd.streams import deadline_of, follow, keepalive_seconds
from local.sandboxes.process import Command, Process
from local.sandboxes.sandbox import Sandbox

_SIGKILL, _SIGTERM = 9, 15
_MOST_CHARACTERS = 65535
_SIGNALS = {Signal.SIGKILL: _SIGKILL, Signal.SIGTERM: _SIGTERM}


class ProcessService(ProcessProtocol):
    """Each call finds its sandbox and process and moves bytes between them and the caller."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def list(
        self,
        request: ListRequest,  # noqa: ARG002 -- it has no fields
        ctx: RequestContext[ListRequest, ListResponse],
        /,
    ) -> ListResponse:
        with translated():
            sandbox = sandbox_of(self._engine, ctx.request_headers)
            return ListResponse(processes=[_info(one) for one in sandbox.processes.running()])

    async def start(
        self, request: StartRequest, ctx: RequestContext[StartRequest, StartResponse], /
    ) -> AsyncIterator[StartResponse]:
        with translated():
            sandbox = sandbox_of(self._engine, ctx.request_headers)
            command = _command(request, user_of(ctx.request_headers.get("authorization", "")))
            deadline = deadline_of(ctx.timeout_ms)
            process = await sandbox.processes.start(command, deadline)
            stream = follow(process, _keepalive(ctx.request_headers), deadline)
            try:
                async for event in stream:
                    yield StartResponse(event=event)
            except TimeoutError:
                raise _deadline_exceeded() from None
            finally:
                await stream.aclose()

    async def connect(
        self, request: ConnectRequest, ctx: RequestContext[ConnectRequest, ConnectResponse], /
    ) -> AsyncIterator[ConnectResponse]:
        with translated():
            process = _find(sandbox_of(self._engine, ctx.request_headers), request.process)
            deadline = deadline_of(ctx.timeout_ms)
            stream = follow(process, _keepalive(ctx.request_headers), deadline)
            try:
                async for event in stream:
                    yield ConnectResponse(event=event)
            except TimeoutError:
                raise _deadline_exceeded() from None
            finally:
                await stream.aclose()

    async def update(
        self, request: UpdateRequest, ctx: RequestContext[UpdateRequest, UpdateResponse], /
    ) -> UpdateResponse:
        with translated():
            process = _find(sandbox_of(self._engine, ctx.request_headers), request.process)
            if request.pty is not None and request.pty.size is not None:
                process.resize(*_size(request.pty.size))
            return UpdateResponse()

    async def stream_input(
        self,
        request: AsyncIterator[StreamInputRequest],
        ctx: RequestContext[StreamInputRequest, StreamInputResponse],
        /,
    ) -> StreamInputResponse:
        with translated():
            sandbox = sandbox_of(self._engine, ctx.request_headers)
            deadline = deadline_of(ctx.timeout_ms)
            process: Process | None = None
            async for message in request:
                match message.event:
                    case Oneof(field="start", value=StreamInputRequest.StartEvent() as start):
                        process = _find(sandbox, start.process)
                    case Oneof(field="data", value=StreamInputRequest.DataEvent() as data):
                        if process is None:
                            raise errors.InvalidError("data came before start")
                        await _write(process, data.input, deadline)
            return StreamInputResponse()

    async def send_input(
        self, request: SendInputRequest, ctx: RequestContext[SendInputRequest, SendInputResponse], /
    ) -> SendInputResponse:
        with translated():
            process = _find(sandbox_of(self._engine, ctx.request_headers), request.process)
            await _write(process, request.input, deadline_of(ctx.timeout_ms))
            return SendInputResponse()

    async def send_signal(
        self,
        request: SendSignalRequest,
        ctx: RequestContext[SendSignalRequest, SendSignalResponse],
        /,
    ) -> SendSignalResponse:
        with translated():
            sandbox = sandbox_of(self._engine, ctx.request_headers)
            number = _SIGNALS.get(request.signal)
            if number is None:
                raise errors.InvalidError("signal: must be SIGTERM or SIGKILL")
            await sandbox.processes.signal(_find(sandbox, request.process), number)
            return SendSignalResponse()

    async def close_stdin(
        self,
        request: CloseStdinRequest,
        ctx: RequestContext[CloseStdinRequest, CloseStdinResponse],
        /,
    ) -> CloseStdinResponse:
        with translated():
            process = _find(sandbox_of(self._engine, ctx.request_headers), request.process)
            process.close_stdin()
            return CloseStdinResponse()


def _command(request: StartRequest, user: str) -> Command:
    config = request.process or ProcessConfig()
    size = request.pty.size if request.pty is not None else None
    if not config.cmd:
        raise errors.InvalidError("process.cmd: is missing")
    return Command(
        cmd=config.cmd,
        args=[*config.args],
        envs=dict(config.envs),
        cwd=config.cwd,
        user=user,
        tag=request.tag if request.has_field("tag") else None,
        # Callers from before the field always had a standard input.
        stdin=request.stdin if request.has_field("stdin") else True,
        terminal=_size(size) if size is not None else None,
    )


def _size(size: PTY.Size) -> tuple[int, int]:
    """Columns and rows, each of which the kernel keeps in two bytes."""
    for name, value in (("cols", size.cols), ("rows", size.rows)):
        if not 1 <= value <= _MOST_CHARACTERS:
            raise errors.InvalidError(f"pty.size.{name}: must be 1 to {_MOST_CHARACTERS}")
    return size.cols, size.rows


def _find(sandbox: Sandbox, selector: ProcessSelector | None) -> Process:
    match selector.selector if selector is not None else None:
        case Oneof(field="pid", value=int(pid)):
            return sandbox.processes.find(pid, None)
        case Oneof(field="tag", value=str(tag)):
            return sandbox.processes.find(None, tag)
    raise errors.InvalidError("process: neither pid nor tag is given")


async def _write(process: Process, given: ProcessInput | None, deadline: float) -> None:
    match given.input if given is not None else None:
        case Oneof(field="stdin" | "pty" as field, value=bytes(data)):
            left = max(0.0, deadline - time.monotonic())
            try:
                async with asyncio.timeout(None if math.isinf(left) else left):
                    await process.write(data, to_terminal=field == "pty")
            except TimeoutError:
                raise ConnectError(
                    Code.DEADLINE_EXCEEDED, "the command did not read its input in time"
                ) from None
        case _:
            raise errors.InvalidError("input: neither stdin nor pty is given")


def _info(process: Process) -> ProcessInfo:
    command = process.command
    config = ProcessConfig(cmd=command.cmd, args=command.args, envs=command.envs)
    if command.cwd:
        config.cwd = command.cwd
    found = ProcessInfo(config=config, pid=process.pid)
    if command.tag is not None:
        found.tag = command.tag
    return found


def _keepalive(headers: Mapping[str, str]) -> float:
    return keepalive_seconds(headers.get("keepalive-ping-interval", ""))


def _deadline_exceeded() -> ConnectError:
    return ConnectError(Code.DEADLINE_EXCEEDED, "the command's time is up")
