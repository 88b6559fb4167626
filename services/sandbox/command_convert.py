"""Between messages and the model, for commands and ports."""

from __future__ import annotations

import posixpath

from kit.context import current_principal
from kit.errors import Invalid, PermissionDenied
from protos.sandbox.v1 import sandbox_pb2
from services.sandbox.commands import Channel, Command, Event, Exited, Output, Port, Started
from services.sandbox.convert import origin
from services.sandbox.model import PREVIEW_PORT, SITE


def command(request: sandbox_pb2.RunCommandRequest, default_seconds: int) -> Command:
    """What a caller wants to be run. Raises ``Invalid`` for a folder with ``..``, ``PermissionDenied``."""
    principal = current_principal()
    if request.HasField("origin") and not (principal and principal.service):
        raise PermissionDenied("origin: only services may give it", reason="SERVICE_NEEDED")
    if ".." in request.cwd.split("/"):
        raise Invalid.field("cwd", "must not hold '..'")
    return Command(
        text=request.command,
        cwd=posixpath.join(SITE, request.cwd).rstrip("/") or "/",
        timeout_seconds=request.timeout_seconds or default_seconds,
        env=dict(request.env),
        origin=origin(request.origin),
    )


def event(sequence: int, found: Event) -> sandbox_pb2.CommandEvent:
    """One thing that a command did."""
    message = sandbox_pb2.CommandEvent(sequence=sequence)
    match found:
        case Started(pid):
            message.started.pid = pid
        case Output(Channel.STDOUT, text):
            message.stdout.text = text
        case Output(_, text):
            message.stderr.text = text
        case Exited():
            message.exited.exit_code = found.exit_code
            message.exited.cause = found.cause
            message.exited.truncated = found.truncated
            message.exited.duration_ms = found.duration_ms
    return message


def port(found: Port) -> sandbox_pb2.SandboxPort:
    """One port that something listens on."""
    return sandbox_pb2.SandboxPort(
        port=found.number,
        preview_url=found.url,
        process_name=found.process_name,
        pid=found.pid,
        ready=found.ready,
        preview=found.number == PREVIEW_PORT,
    )
