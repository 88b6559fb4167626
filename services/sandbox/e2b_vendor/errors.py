"""What the SDK raises, as what this service knows: its exceptions end here."""

from __future__ import annotations

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
from e2b.exceptions import SandboxNotRunningException, ServiceBusyException

from kit.errors import ServiceError, Unavailable
from services.sandbox.vendor import DiskFull, PathMissing, PathUnfit, SandboxLost

_log = structlog.get_logger(__name__)


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
    except (RateLimitException, ServiceBusyException) as exc:
        raise unavailable("SANDBOX_VENDOR_BUSY", 2.0) from exc
    except (TimeoutException, httpx.HTTPError, ConnectError, OSError) as exc:
        _log.warning("E2B does not answer", error=type(exc).__name__)
        raise unavailable("SANDBOX_VENDOR_DOWN", 1.0) from exc
    except (InvalidArgumentException, CommandExitException, SandboxException) as exc:
        if files and (exc.status_code or 0) < 500:
            raise PathUnfit(str(exc)) from exc
        _log.error("E2B refuses", error=type(exc).__name__, status=exc.status_code)
        raise unavailable("SANDBOX_VENDOR_FAILED", 5.0) from exc


def unavailable(reason: str, retry_after: float) -> ServiceError:
    """The vendor does not do its work, for the caller who may come again in ``retry_after`` seconds."""
    return Unavailable("sandboxes can't be reached now", reason=reason, retry_after=retry_after)
