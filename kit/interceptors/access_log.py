"""One line for every call: what, for whom, how it ended, how long it took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import structlog

from kit.context import current_principal

_log = structlog.get_logger("access")
_QUIET = ("/grpc.health.", "/grpc.reflection.")


@contextmanager
def logged(method: str, context: grpc.aio.ServicerContext[Any, Any]) -> Iterator[None]:
    """Writes the line when the call is over. Health checks are told at debug level only."""
    begun = time.perf_counter()
    ending = "CANCELLED"
    try:
        yield
        ending = "OK"
    except grpc.aio.AbortError:
        ending = _code(context)
        raise
    finally:
        principal = current_principal()
        say = _log.debug if method.startswith(_QUIET) else _log.info
        say(
            "call",
            method=method,
            code=ending,
            ms=round((time.perf_counter() - begun) * 1000, 1),
            user=principal.user_id if principal else "",
            caller=principal.service if principal else "",
        )


def _code(context: grpc.aio.ServicerContext[Any, Any]) -> str:
    code: Any = context.code()
    if isinstance(code, grpc.StatusCode):
        return code.name
    return next((known.name for known in grpc.StatusCode if known.value[0] == code), str(code))
