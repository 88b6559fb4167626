"""Who calls: which sandbox, with which token, as which user; and the engine's errors in Connect."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hmac
from collections.abc import Iterator, Mapping

from connectrpc.code import Code
from connectrpc.errors import ConnectError

from local.sandboxes import errors
from local.sandboxes.broadcast import CutOffError
from local.sandboxes.engine import Engine
from local.sandboxes.sandbox import Sandbox

_CODES: dict[type[errors.EngineError], Code] = {
    errors.InvalidError: Code.INVALID_ARGUMENT,
    errors.UnauthenticatedError: Code.UNAUTHENTICATED,
    errors.PermissionDeniedError: Code.PERMISSION_DENIED,
    errors.NotFoundError: Code.NOT_FOUND,
    errors.AlreadyExistsError: Code.ALREADY_EXISTS,
    errors.ConflictError: Code.FAILED_PRECONDITION,
    errors.NotEnoughSpaceError: Code.RESOURCE_EXHAUSTED,
    errors.ExhaustedError: Code.RESOURCE_EXHAUSTED,
    errors.UnsupportedError: Code.UNIMPLEMENTED,
    errors.UnavailableError: Code.UNAVAILABLE,
    errors.PortClosedError: Code.UNAVAILABLE,
}


def sandbox_of(engine: Engine, headers: Mapping[str, str]) -> Sandbox:
    """The sandbox that the router named, if the caller holds its token."""
    sandbox = engine.running(headers.get("e2b-sandbox-id", ""))
    check_token(sandbox, headers.get("x-access-token", ""))
    return sandbox


def check_token(sandbox: Sandbox, token: str) -> None:
    """Raises UnauthenticatedError for any token but the sandbox's own."""
    if not hmac.compare_digest(token.encode(), sandbox.identity.access_token.encode()):
        raise errors.UnauthenticatedError("the X-Access-Token header is not this sandbox's token")


def user_of(authorization: str) -> str:
    """The user of a Basic header, which has no password; empty for the default one."""
    kind, _, value = authorization.partition(" ")
    if kind.lower() != "basic":
        return ""
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeError) as exc:
        raise errors.UnauthenticatedError("the Authorization header is malformed") from exc


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """The engine's errors as Connect's."""
    try:
        yield
    except errors.EngineError as exc:
        code = next((code for kind, code in _CODES.items() if isinstance(exc, kind)), Code.INTERNAL)
        raise ConnectError(code, exc.message) from exc
    except CutOffError as exc:
        # Unavailable, with a message that says no more: the SDK then asks whether it still runs.
        raise ConnectError(Code.UNAVAILABLE, f"the stream was cut off: {exc}") from exc
