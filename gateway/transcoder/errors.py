"""What can go wrong: ContractError at start-up, HttpError while a request is served."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

Headers = Sequence[tuple[bytes, bytes]]

# As grpc-gateway's runtime/errors.go. 499 is nginx's "client closed request".
HTTP_STATUS = {
    code_pb2.OK: 200,
    code_pb2.CANCELLED: 499,
    code_pb2.UNKNOWN: 500,
    code_pb2.INVALID_ARGUMENT: 400,
    code_pb2.DEADLINE_EXCEEDED: 504,
    code_pb2.NOT_FOUND: 404,
    code_pb2.ALREADY_EXISTS: 409,
    code_pb2.PERMISSION_DENIED: 403,
    code_pb2.RESOURCE_EXHAUSTED: 429,
    code_pb2.FAILED_PRECONDITION: 400,
    code_pb2.ABORTED: 409,
    code_pb2.OUT_OF_RANGE: 400,
    code_pb2.UNIMPLEMENTED: 501,
    code_pb2.INTERNAL: 500,
    code_pb2.UNAVAILABLE: 503,
    code_pb2.DATA_LOSS: 500,
    code_pb2.UNAUTHENTICATED: 401,
}


class ContractError(Exception):
    """The descriptors cannot be served as they are: the message says which method and why."""


class HttpError(Exception):
    """Ends a request with an HTTP status and a google.rpc.Status."""

    def __init__(self, http: int, status: status_pb2.Status, headers: Headers = ()) -> None:
        super().__init__(status.message)
        self.http = http
        self.status = status
        self.headers = headers


def refusal(
    http: int,
    code: code_pb2.Code.ValueType,
    reason: str,
    message: str,
    *,
    fields: Iterable[tuple[str, str]] = (),
    headers: Headers = (),
) -> HttpError:
    """An error of the transcoder's own. ``fields`` are (JSON field path, what is wrong with it)."""
    status = status_pb2.Status(code=code, message=message)
    pack(status, error_details_pb2.ErrorInfo(reason=reason))
    bad = error_details_pb2.BadRequest()
    for field, description in fields:
        bad.field_violations.add(field=field, description=description)
    if bad.field_violations:
        pack(status, bad)
    return HttpError(http, status, headers)


def invalid(message: str, *fields: tuple[str, str], reason: str = "INVALID_ARGUMENT") -> HttpError:
    """400, with the fields that are wrong."""
    return refusal(400, code_pb2.INVALID_ARGUMENT, reason, message, fields=fields)


def invalid_field(field: str, description: str, what: str = "field") -> HttpError:
    """400 because of one field; ``what`` says where it was given."""
    where = f"{what} {field!r}" if field else what
    return invalid(f"{where}: {description}", (field, description))


def unsupported_media_type(given: str, accepted: str) -> HttpError:
    """415, naming what would be accepted."""
    shown = f"Content-Type {given!r} is" if given else "a body without a Content-Type is"
    return refusal(
        415,
        code_pb2.INVALID_ARGUMENT,
        "UNSUPPORTED_MEDIA_TYPE",
        f"{shown} not accepted here: send {accepted}",
    )


def body_too_large(limit: int) -> HttpError:
    """413, naming the limit in bytes."""
    return refusal(
        413,
        code_pb2.INVALID_ARGUMENT,
        "BODY_TOO_LARGE",
        f"the request body is larger than {limit} bytes",
        headers=[(b"connection", b"close")],
    )


def request_timeout() -> HttpError:
    """408: the client stopped sending its body."""
    return refusal(
        408,
        code_pb2.DEADLINE_EXCEEDED,
        "REQUEST_TIMEOUT",
        "the request body did not arrive in time",
        headers=[(b"connection", b"close")],
    )


def pack(status: status_pb2.Status, detail: object) -> None:
    """Appends ``detail``, a message of google.rpc, to the status."""
    packed = any_pb2.Any()
    packed.Pack(detail)  # type: ignore[arg-type]  # any message; the stub wants one exact class
    status.details.append(packed)


class Disconnected(Exception):
    """The client went away; there is nobody to answer."""
