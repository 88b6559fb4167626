"""What the SDK raises, as what this service knows: its exceptions end here."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import structlog
from connectrpc.errors import ConnectError
from e2b import (
    AuthenticationException,
    CommandExitException,
    FileNotFoundException,
    InvalidArgumentException,
    NotEnoughSpaceException,
    RateLimitException,
    SandboxException,
    SandboxNotFoundException,
    TimeoutException,
)
from e2b.exceptions import (
    SandboxNotRunningException,
    SandboxUnreachableException,
    ServiceBusyException,
)

from kit.errors import ServiceError, Unavailable
from services.sandbox.vendor import DiskFull, PathMissing, PathUnfit, SandboxLost

_log = structlog.get_logger(__name__)
# How E2B and the local engine tell that an account or an engine is full; both with the status of a rate limit.
_QUOTA = ("maximum number of concurrent", "sandboxes at once")
_NO_TEMPLATE = {403, 404}
_LONGEST_WAIT_SECONDS = 3600.0


@contextmanager
def translated(*, files: bool = False) -> Iterator[None]:
    """The SDK's exceptions become ours. ``files``: what is refused is refused for the path's sake."""
    try:
        yield
    except (SandboxNotFoundException, SandboxNotRunningException) as exc:
        raise SandboxLost(type(exc).__name__) from exc
    except FileNotFoundException as exc:
        raise PathMissing(str(exc)) from exc
    except NotEnoughSpaceException as exc:
        raise DiskFull from exc
    except AuthenticationException as exc:
        # Not the exception itself: what it was called with is told with it.
        _log.error("E2B refuses the key", setting="E2B_API_KEY")
        raise unavailable("SANDBOX_VENDOR_REFUSED", 30.0) from exc
    except RateLimitException as exc:
        raise _limited(exc) from exc
    except ServiceBusyException as exc:
        _log.warning("E2B is busy")
        raise unavailable("SANDBOX_VENDOR_BUSY", _told_wait(exc) or 2.0) from exc
    except (TimeoutException, httpx.HTTPError, ConnectError, OSError) as exc:
        raise _unanswered(exc) from exc
    except (InvalidArgumentException, CommandExitException, SandboxException) as exc:
        if files and (exc.status_code or 0) < 500:
            raise PathUnfit(str(exc)) from exc
        _log.error("E2B refuses", error=type(exc).__name__, status=exc.status_code)
        raise unavailable("SANDBOX_VENDOR_FAILED", 5.0) from exc


@contextmanager
def template_told(template: str) -> Iterator[None]:
    """Inside of it a sandbox is made: where its template is missing, or somebody else's, that is told."""
    try:
        yield
    except SandboxException as exc:
        if exc.status_code not in _NO_TEMPLATE:
            raise
        _log.error("E2B has no such template", setting="SANDBOX_E2B_TEMPLATE", template=template)
        raise Unavailable(
            f"the sandbox template {template!r} can't be used: its name is in SANDBOX_E2B_TEMPLATE",
            reason="SANDBOX_TEMPLATE_MISSING",
        ) from exc


def unavailable(reason: str, retry_after: float) -> ServiceError:
    """The vendor does not do its work, for the caller who may come again in ``retry_after`` seconds."""
    return Unavailable("sandboxes can't be reached now", reason=reason, retry_after=retry_after)


def _limited(exc: RateLimitException) -> ServiceError:
    wait = _told_wait(exc)
    if not any(text in str(exc) for text in _QUOTA):
        _log.warning("E2B limits the rate of requests", setting="E2B_API_KEY")
        return unavailable("SANDBOX_VENDOR_BUSY", wait or 2.0)
    _log.error("the account at E2B has as many sandboxes as it may", setting="E2B_API_KEY")
    return Unavailable(
        "the operator's account with the sandbox vendor is full: this is no limit of yours",
        reason="SANDBOX_VENDOR_QUOTA",
        retry_after=wait or 30.0,
    )


def _unanswered(exc: Exception) -> ServiceError:
    late = isinstance(exc, (TimeoutException, httpx.TimeoutException, TimeoutError))
    if late and not isinstance(exc, SandboxUnreachableException):
        _log.warning("E2B answers too late", setting="SANDBOX_E2B_TIMEOUT_SECONDS")
        return unavailable("SANDBOX_VENDOR_LATE", 1.0)
    named = "dns" in f"{exc} {exc.__cause__}".lower()
    setting = "E2B_DOMAIN, E2B_API_URL"
    _log.warning(
        "E2B does not answer", error=type(exc).__name__, unknown_host=named, setting=setting
    )
    return unavailable("SANDBOX_VENDOR_UNKNOWN" if named else "SANDBOX_VENDOR_DOWN", 1.0)


def _told_wait(exc: Exception) -> float | None:
    """Seconds after which the vendor wants to be asked again, where it says so.

    The SDK's exceptions leave the headers out: the answer is still a local of the frame that raised.
    """
    for frame, _ in traceback.walk_tb(exc.__traceback__):
        headers = getattr(frame.f_locals.get("res"), "headers", {})
        told = str(headers.get("Retry-After", ""))
        if told.isascii() and told.isdigit():
            return min(float(told), _LONGEST_WAIT_SECONDS)
    return None
