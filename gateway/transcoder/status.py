"""The end of a call as an HTTP error: codes, details, and what must not leak."""

from __future__ import annotations

import re
from typing import Any

import grpc
import orjson
from google.protobuf import descriptor_pool, duration_pb2
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError
from google.rpc import code_pb2, error_details_pb2, status_pb2

from gateway.transcoder.codec import JsonCodecs, JsonError
from gateway.transcoder.codec.scalars import bytes_to_json
from gateway.transcoder.errors import HTTP_STATUS, HttpError, pack, refusal

_DETAILS_KEY = "grpc-status-details-bin"
_OPAQUE = frozenset((code_pb2.UNKNOWN, code_pb2.INTERNAL, code_pb2.DATA_LOSS))
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UNDERSCORE = re.compile(r"_([a-z0-9])")

# The details are messages of google.rpc, which lie in the default pool.
_CODECS = JsonCodecs(descriptor_pool.Default(), short_enums=False)


def status_of(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    """The google.rpc.Status that the service sent, or one made of code and message."""
    code = error.code().value[0]
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS_KEY and isinstance(value, bytes):
            try:
                found = status_pb2.Status.FromString(value)
            except DecodeError:
                break
            if found.code == code:
                return found
    return status_pb2.Status(code=code, message=error.details() or "")


def from_rpc(error: grpc.aio.AioRpcError, request: Descriptor | None = None) -> HttpError:
    """The answer to a failed call. ``request`` tells how its fields are named in JSON."""
    status = status_of(error)
    if not status.details and status.code == code_pb2.UNAVAILABLE:
        # Written by our own channel, with addresses in it.
        status.message = "the service cannot be reached now; try again shortly"
        pack(status, error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=1)))
    elif not status.details and status.code == code_pb2.RESOURCE_EXHAUSTED:
        # Written by gRPC itself, of messages or metadata too large; the services send details.
        status.message = "a limit of the service is exceeded"
    return public(status, request)


def public(status: status_pb2.Status, request: Descriptor | None = None) -> HttpError:
    """A status as clients may see it, with its HTTP code and headers."""
    if status.code in _OPAQUE or status.code not in HTTP_STATUS:
        status = status_pb2.Status(code=status.code or code_pb2.UNKNOWN, message="internal error")
    headers: list[tuple[bytes, bytes]] = []
    if status.code == code_pb2.UNAUTHENTICATED:
        headers.append((b"www-authenticate", b"Bearer"))
    for detail in status.details:
        bad, retry = error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
        if detail.Unpack(bad):
            for violation in bad.field_violations:
                violation.field = json_path(violation.field, request)
            detail.Pack(bad)
        elif detail.Unpack(retry):
            delay = retry.retry_delay
            seconds = max(1, delay.seconds + (delay.nanos > 0))
            headers.append((b"retry-after", b"%d" % seconds))
    return HttpError(HTTP_STATUS.get(status.code, 500), status, headers)


def internal_error() -> HttpError:
    """For what nobody foresaw; its text stays in the log."""
    return refusal(500, code_pb2.INTERNAL, "INTERNAL", "internal error")


def json_path(path: str, request: Descriptor | None) -> str:
    """A field path of the proto in JSON names: ``site_files[0].file_name`` → ``siteFiles[0].fileName``."""
    level = request
    steps = []
    for step in path.split("."):
        found = _WORD.match(step)
        field = level.fields_by_name.get(found[0]) if level is not None and found else None
        level = field.message_type if field is not None else None
        if field is not None and found is not None:
            steps.append(field.json_name + step[found.end() :])
        else:
            steps.append(_UNDERSCORE.sub(lambda word: word[1].upper(), step))
    return ".".join(steps)


def status_json(status: status_pb2.Status, domain: str, request_id: str) -> dict[str, Any]:
    """The JSON of the status. ErrorInfo is always there; so is RequestInfo where all else is hidden."""
    details = [_detail_json(detail) for detail in status.details]
    info = next((item for item in details if item["@type"].endswith(".ErrorInfo")), None)
    if info is None:
        name = code_pb2.Code.Name(status.code) if status.code in HTTP_STATUS else "UNKNOWN"
        info = {"@type": _url("ErrorInfo"), "reason": name, "metadata": {}}
        details.insert(0, info)
    info["domain"] = info.get("domain") or domain
    if status.code in _OPAQUE:
        request = {"@type": _url("RequestInfo"), "requestId": request_id, "servingData": ""}
        details.append(request)
    return {"code": status.code, "message": status.message, "details": details}


def _url(name: str) -> str:
    return f"type.googleapis.com/google.rpc.{name}"


def _detail_json(detail: Any) -> dict[str, Any]:
    try:
        found: dict[str, Any] = _CODECS.encoder(detail.DESCRIPTOR)(detail)
        return found
    except (JsonError, DecodeError):
        return {"@type": detail.type_url, "value": bytes_to_json(detail.value)}


def status_bytes(status: status_pb2.Status, domain: str, request_id: str) -> bytes:
    """As ``status_json``, serialized."""
    return orjson.dumps(status_json(status, domain, request_id))
