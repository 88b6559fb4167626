"""The closed set of errors that our services raise. ``kit.status`` holds the tables to gRPC and back.

An error carries a reason (stable, for programs, ``UPPER_SNAKE_CASE``) and a message (a sentence for people, safe to
show to the caller). Anything else that is raised reaches the caller as a bare INTERNAL.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Violation:
    """What is wrong with one field of a request; the field's name as in the proto."""

    field: str
    message: str


class ServiceError(Exception):
    """The root of the set. Never raised itself."""

    default_reason = "INTERNAL"

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        violations: tuple[Violation, ...] = (),
        retry_after: float | None = None,
        metadata: dict[str, str] | None = None,
    ) -> None:
        """``retry_after`` is in seconds; ``metadata`` adds facts such as a limit and its use."""
        super().__init__(message)
        self.message = message
        self.reason = reason or self.default_reason
        self.violations = violations
        self.retry_after = retry_after
        self.metadata = metadata or {}


class Invalid(ServiceError):
    """A field of the request is wrong, whatever the state of the system."""

    default_reason = "INVALID_ARGUMENT"

    @classmethod
    def field(cls, field: str, message: str) -> Invalid:
        """The error for one wrong field."""
        return cls(f"{field}: {message}", violations=(Violation(field, message),))


class NotFound(ServiceError):
    """There is no such thing, or it is somebody else's."""

    default_reason = "NOT_FOUND"


class AlreadyExists(ServiceError):
    """The thing to make is there already."""

    default_reason = "ALREADY_EXISTS"


class Conflict(ServiceError):
    """Somebody else was faster, or an idempotency key was used for something else."""

    default_reason = "CONFLICT"


class FailedPrecondition(ServiceError):
    """The state of the system does not allow it now."""

    default_reason = "FAILED_PRECONDITION"


class Unauthenticated(ServiceError):
    """No proof of who calls, or a wrong one."""

    default_reason = "UNAUTHENTICATED"


class PermissionDenied(ServiceError):
    """It is known who calls, and that this is not allowed."""

    default_reason = "PERMISSION_DENIED"


class QuotaExceeded(ServiceError):
    """A limit is reached; the message names it."""

    default_reason = "QUOTA_EXCEEDED"


class Unavailable(ServiceError):
    """Something that is needed does not answer now; trying again may help."""

    default_reason = "UNAVAILABLE"


class DeadlineExceeded(ServiceError):
    """It took longer than the caller waits."""

    default_reason = "DEADLINE_EXCEEDED"


class Cancelled(ServiceError):
    """The caller went away."""

    default_reason = "CANCELLED"


class Unimplemented(ServiceError):
    """This server does not offer it."""

    default_reason = "UNIMPLEMENTED"


class Internal(ServiceError):
    """A fault of ours; the message says nothing about it."""

    default_reason = "INTERNAL"
