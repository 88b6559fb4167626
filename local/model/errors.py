"""The closed set of errors that the API answers, each with its HTTP status and its type."""

from typing import Any, ClassVar


class ApiError(Exception):
    """An answer that is an error; the text is shown to the caller."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "api_error"

    @property
    def message(self) -> str:
        """The text for the caller."""
        return str(self)


class InvalidRequest(ApiError):
    """The body breaks a rule of the API."""

    status = 400
    type = "invalid_request_error"


class AuthenticationFailed(ApiError):
    """No key, or the wrong one."""

    status = 401
    type = "authentication_error"


class NotFound(ApiError):
    """No such model or route."""

    status = 404
    type = "not_found_error"


class MethodNotAllowed(ApiError):
    """The route exists, the method does not."""

    status = 405
    type = "invalid_request_error"


class RequestTooLarge(ApiError):
    """The body exceeds the limit."""

    status = 413
    type = "request_too_large"


class RateLimited(ApiError):
    """Too many requests; only ever on request."""

    status = 429
    type = "rate_limit_error"


class Unavailable(ApiError):
    """The service is away; only ever on request."""

    status = 503


class TimedOut(ApiError):
    """The service took too long; only ever on request."""

    status = 504
    type = "timeout_error"


class Overloaded(ApiError):
    """The service has too much to do; only ever on request."""

    status = 529
    type = "overloaded_error"


def body(error: ApiError, request_id: str) -> dict[str, Any]:
    """The JSON that the API answers for `error`."""
    return {
        "type": "error",
        "error": {"type": error.type, "message": error.message},
        "request_id": request_id,
    }
