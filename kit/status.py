"""The tables between our errors and gRPC statuses, with ``google.rpc`` details, both ways."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

from kit import errors
from kit.errors import ServiceError, Violation

DOMAIN = "sandwright"
DETAILS_KEY = "grpc-status-details-bin"

CODES: dict[type[ServiceError], grpc.StatusCode] = {
    errors.Invalid: grpc.StatusCode.INVALID_ARGUMENT,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    errors.Conflict: grpc.StatusCode.ABORTED,
    errors.FailedPrecondition: grpc.StatusCode.FAILED_PRECONDITION,
    errors.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    errors.PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    errors.QuotaExceeded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    errors.DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.Cancelled: grpc.StatusCode.CANCELLED,
    errors.Unimplemented: grpc.StatusCode.UNIMPLEMENTED,
    errors.Internal: grpc.StatusCode.INTERNAL,
}
ERRORS = {code: error for error, code in CODES.items()}


def to_status(error: ServiceError) -> tuple[grpc.StatusCode, bytes]:
    """The gRPC code of an error and its serialized ``google.rpc.Status`` with all details."""
    code = CODES[type(error)]
    status = status_pb2.Status(code=code.value[0], message=error.message)
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)
    _pack(status, info)
    if error.violations:
        bad = error_details_pb2.BadRequest()
        for violation in error.violations:
            bad.field_violations.add(field=violation.field, description=violation.message)
        _pack(status, bad)
    if error.retry_after is not None:
        delay = Duration()
        delay.FromMilliseconds(round(error.retry_after * 1000))
        _pack(status, error_details_pb2.RetryInfo(retry_delay=delay))
    return code, status.SerializeToString()


def from_rpc_error(error: grpc.aio.AioRpcError) -> ServiceError:
    """The error that a peer raised, or the one that tells of the connection's own failure."""
    kind = ERRORS.get(error.code(), errors.Internal)
    status = status_pb2.Status()
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            status.ParseFromString(value)
    if not status.details:
        # The transport speaks, not the peer: its text may name addresses and is not passed on.
        return kind("the service did not answer" if kind is errors.Unavailable else kind.__name__)
    return _with_details(kind, status)


@contextmanager
def peer_errors() -> Iterator[None]:
    """Turns the gRPC errors of calls to a peer into ours."""
    try:
        yield
    except grpc.aio.AioRpcError as exc:
        raise from_rpc_error(exc) from exc


def _pack(
    status: status_pb2.Status,
    detail: error_details_pb2.ErrorInfo
    | error_details_pb2.BadRequest
    | error_details_pb2.RetryInfo,
) -> None:
    packed = AnyMessage()
    packed.Pack(detail)
    status.details.append(packed)


def _with_details(kind: type[ServiceError], status: status_pb2.Status) -> ServiceError:
    info = error_details_pb2.ErrorInfo()
    bad = error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    retry_after = None
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(bad)
        if detail.Unpack(retry):
            retry_after = retry.retry_delay.ToMilliseconds() / 1000
    return kind(
        status.message,
        reason=info.reason or None,
        violations=tuple(Violation(v.field, v.description) for v in bad.field_violations),
        retry_after=retry_after,
        metadata=dict(info.metadata),
    )
