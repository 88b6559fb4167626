"""What a handler raises becomes a status. Only errors of the closed set say more than INTERNAL."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import grpc
import structlog
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from kit.context import request_id
from kit.errors import Internal, ServiceError, Unavailable
from kit.status import DETAILS_KEY, from_rpc_error, to_status

Context = grpc.aio.ServicerContext[Any, Any]
_log = structlog.get_logger(__name__)
_OUT_OF_REACH = (InterfaceError, PoolTimeout, ConnectionError, TimeoutError, socket.gaierror)
# Shut down by an admin, crashed, starting up; too many connections.
_NOT_NOW = {"57P01", "57P02", "57P03", "53300"}


@asynccontextmanager
async def reported(context: Context) -> AsyncIterator[None]:
    """Ends the call with the status of what is raised inside of it."""
    try:
        yield
    except (asyncio.CancelledError, GeneratorExit, grpc.aio.AbortError):
        raise
    except ServiceError as exc:
        await _abort(context, exc)
    except grpc.aio.AioRpcError as exc:
        await _abort(context, from_rpc_error(exc))
    except Exception as exc:  # noqa: BLE001 - the last line: nothing of an unknown error may leave the service
        await _abort(context, _translated(exc))


def _translated(exc: Exception) -> ServiceError:
    if _lost(exc) or isinstance(exc, _OUT_OF_REACH):
        _log.warning("database out of reach", error=type(exc).__name__)
        return Unavailable("the database does not answer", retry_after=1.0)
    _log.error("unexpected error", exc_info=exc)
    return Internal(f"internal error; request id {request_id.get()}")


def _lost(exc: Exception) -> bool:
    """Whether the database went away, is starting, or has no room for one more connection."""
    if not isinstance(exc, DBAPIError):
        return False
    state = str(getattr(exc.orig, "sqlstate", "") or "")
    return exc.connection_invalidated or state.startswith("08") or state in _NOT_NOW


async def _abort(context: Context, error: ServiceError) -> NoReturn:
    code, details = to_status(error)
    await context.abort(code, error.message, ((DETAILS_KEY, details),))
