"""Between the domain and the messages of ``protos/generation``."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from protos.generation.v1 import generation_pb2 as pb
from services.generation import model
from services.generation.model import Attachment, Event, Job, Mode, Status
from services.generation.repository import LoggedEvent

_STATUS = {
    Status.QUEUED: pb.GENERATION_STATUS_QUEUED,
    Status.RUNNING: pb.GENERATION_STATUS_RUNNING,
    Status.SUCCEEDED: pb.GENERATION_STATUS_SUCCEEDED,
    Status.FAILED: pb.GENERATION_STATUS_FAILED,
    Status.CANCELLED: pb.GENERATION_STATUS_CANCELLED,
}
# A month's tokens may be more than the message can say.
_MOST = 2**31 - 1
_MODE = {
    Mode.SINGLE: pb.GENERATION_MODE_SINGLE,
    Mode.TEAM: pb.GENERATION_MODE_TEAM,
}
TERMINAL = frozenset({"succeeded", "failed", "cancelled"})
"""The names of the events that come last."""


def mode(asked: int) -> Mode:
    """The mode that a request names; one agent where it names none."""
    return Mode.TEAM if asked == pb.GENERATION_MODE_TEAM else Mode.SINGLE


def event_entry(event: Event, agent: str = "") -> tuple[str, bytes]:
    """An event as the log keeps it: its name and its message, without sequence and time."""
    message = _event(event)
    message.agent = agent
    return str(message.WhichOneof("event")), message.SerializeToString()


def logged_event(logged: LoggedEvent) -> pb.GenerationEvent:
    """An event of the log as it goes out."""
    message = pb.GenerationEvent.FromString(logged.payload)
    message.sequence = logged.sequence
    message.created_at.CopyFrom(timestamp(logged.created_at))
    return message


def files_told(payloads: Iterable[bytes]) -> dict[str, str]:
    """Each path that these events tell of, with its last hash; an empty one where it was deleted."""
    told: dict[str, str] = {}
    for payload in payloads:
        message = pb.GenerationEvent.FromString(payload)
        if message.HasField("file_written"):
            told[message.file_written.path] = message.file_written.sha256
        else:
            told[message.file_deleted.path] = ""
    return told


def agents_told(payloads: Iterable[bytes]) -> dict[str, str]:
    """Each agent that these events say has finished, with what it could not do; empty where it did all of it."""
    told: dict[str, str] = {}
    for payload in payloads:
        message = pb.GenerationEvent.FromString(payload)
        finished = message.agent_finished
        told[message.agent] = "" if finished.succeeded else finished.summary or "not done"
    return told


def generation(job: Job) -> pb.Generation:
    """A generation as it goes out."""
    message = pb.Generation(
        generation_id=job.generation_id,
        project_id=job.project_id,
        prompt=job.prompt,
        model=job.model,
        status=_STATUS[job.status],
        mode=_MODE[job.mode],
        sandbox_id=job.sandbox.sandbox_id,
        sandbox_url=job.sandbox.sandbox_url,
        preview_url=job.sandbox.preview_url,
        created_at=timestamp(job.created_at),
        version=job.version,
        usage=usage_message(job.usage),
        last_sequence=job.last_sequence,
        max_cost_usd=float(job.max_cost_usd),
    )
    for one in job.attachments:
        message.attachments.add(name=one.name, media_type=one.media_type, size_bytes=one.size_bytes)
    if job.check_result:
        message.check.ParseFromString(job.check_result)
    if job.started_at:
        message.started_at.CopyFrom(timestamp(job.started_at))
    if job.ended_at:
        message.ended_at.CopyFrom(timestamp(job.ended_at))
    if job.failure and job.status is Status.FAILED:
        message.failure.CopyFrom(_failure(job.failure))
    return message


def attachments(request: pb.StartGenerationRequest) -> tuple[Attachment, ...]:
    """What came along with a prompt."""
    return tuple(Attachment(one.name, one.media_type, one.content) for one in request.attachments)


def start_response(job: Job) -> pb.StartGenerationResponse:
    """The answer to who started a generation."""
    return pb.StartGenerationResponse(
        generation_id=job.generation_id,
        project_id=job.project_id,
        status=_STATUS[job.status],
        sandbox_id=job.sandbox.sandbox_id,
        sandbox_url=job.sandbox.sandbox_url,
        preview_url=job.sandbox.preview_url,
    )


def _event(event: Event) -> pb.GenerationEvent:
    match event:
        case model.Queued():
            return pb.GenerationEvent(queued=pb.Queued(position=event.position))
        case model.Started():
            return pb.GenerationEvent(started=_started(event))
        case model.TextDelta():
            return pb.GenerationEvent(text_delta=pb.TextDelta(text=event.text))
        case model.FileDelta() | model.FileWritten() | model.FileDeleted() | model.CommandRun():
            return _done(event)
        case model.Check():
            return pb.GenerationEvent(check=_check(event))
        case model.TurnRestarted():
            restarted = pb.TurnRestarted(turn=event.turn, reason=event.reason)
            return pb.GenerationEvent(turn_restarted=restarted)
        case model.AgentStarted() | model.AgentFinished():
            return _of_agent(event)
        case model.UsageReport():
            return pb.GenerationEvent(usage=usage_message(event.usage))
        case _:
            return _terminal(event)


def _of_agent(event: model.AgentStarted | model.AgentFinished) -> pb.GenerationEvent:
    if isinstance(event, model.AgentStarted):
        return pb.GenerationEvent(agent_started=pb.AgentStarted(role=event.role, task=event.task))
    finished = pb.AgentFinished(succeeded=event.succeeded, summary=event.summary)
    return pb.GenerationEvent(agent_finished=finished)


def _done(
    event: model.FileDelta | model.FileWritten | model.FileDeleted | model.CommandRun,
) -> pb.GenerationEvent:
    match event:
        case model.FileDelta():
            delta = pb.FileDelta(path=event.path, text=event.text, offset=event.offset)
            return pb.GenerationEvent(file_delta=delta)
        case model.FileWritten():
            written = pb.FileWritten(
                path=event.path, size_bytes=event.size_bytes, sha256=event.sha256
            )
            return pb.GenerationEvent(file_written=written)
        case model.FileDeleted():
            return pb.GenerationEvent(file_deleted=pb.FileDeleted(path=event.path))
        case model.CommandRun():
            ran = pb.CommandRun(
                command=event.command, exit_code=event.exit_code, output=event.output
            )
            return pb.GenerationEvent(command_run=ran)


def check_bytes(check: model.Check) -> bytes:
    """A check as the generation's row keeps it."""
    return _check(check).SerializeToString()


def check_of(kept: bytes) -> model.Check | None:
    """The check that a row keeps; ``None`` where there was none."""
    if not kept:
        return None
    message = pb.Check.FromString(kept)
    findings = [
        model.Finding(found.path, found.rule, found.message, found.line)
        for found in message.findings
    ]
    return model.Check(message.round, tuple(findings), message.finding_count)


def _check(check: model.Check) -> pb.Check:
    findings = [
        pb.Finding(path=found.path, rule=found.rule, message=found.message, line=found.line)
        for found in check.findings
    ]
    return pb.Check(
        passed=check.passed,
        findings=findings,
        round=check.round,
        finding_count=check.finding_count,
    )


def _terminal(event: model.Terminal) -> pb.GenerationEvent:
    match event:
        case model.Succeeded():
            return pb.GenerationEvent(
                succeeded=pb.Succeeded(
                    version=event.version,
                    usage=usage_message(event.usage),
                    preview_url=event.sandbox.preview_url,
                    sandbox_url=event.sandbox.sandbox_url,
                    files_written=event.files_written,
                )
            )
        case model.Failed():
            return pb.GenerationEvent(
                failed=pb.Failed(
                    failure=_failure(event.failure),
                    usage=usage_message(event.usage),
                    partial_version=event.partial_version,
                )
            )
        case model.Cancelled():
            return pb.GenerationEvent(
                cancelled=pb.Cancelled(version=event.version, usage=usage_message(event.usage))
            )


def _started(event: model.Started) -> pb.Started:
    return pb.Started(
        sandbox_id=event.sandbox.sandbox_id,
        sandbox_url=event.sandbox.sandbox_url,
        preview_url=event.sandbox.preview_url,
        model=event.model,
    )


def _failure(failure: model.Failure) -> pb.Failure:
    return pb.Failure(reason=failure.reason, message=failure.message)


def usage_message(usage: model.Usage) -> pb.Usage:
    """What was used as it goes out."""
    return pb.Usage(
        input_tokens=min(usage.input_tokens, _MOST),
        output_tokens=min(usage.output_tokens, _MOST),
        cache_read_tokens=min(usage.cache_read_tokens, _MOST),
        cache_write_tokens=min(usage.cache_write_tokens, _MOST),
        cost_usd=float(usage.cost_usd),
        estimated=usage.estimated,
        turns=usage.turns,
    )


def timestamp(moment: datetime) -> Timestamp:
    """A moment as it goes out."""
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp
