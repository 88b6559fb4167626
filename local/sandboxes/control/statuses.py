"""The engine's errors as the statuses of the control plane."""

from __future__ import annotations

from local.sandboxes import errors

_STATUSES: dict[type[errors.EngineError], int] = {
    errors.InvalidError: 400,
    errors.UnauthenticatedError: 401,
    errors.PermissionDeniedError: 403,
    errors.NotFoundError: 404,
    errors.AlreadyExistsError: 409,
    errors.ConflictError: 409,
    errors.ExhaustedError: 429,
    errors.NotEnoughSpaceError: 507,
    errors.UnsupportedError: 501,
    errors.UnavailableError: 503,
}


def status_of(error: errors.EngineError) -> int:
    """The HTTP status that the SDK turns into the right exception; 500 for what should not happen."""
    return next((code for kind, code in _STATUSES.items() if isinstance(error, kind)), 500)
