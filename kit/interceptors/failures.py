"""What a handler raises becomes a status. Only errors of the closed set say more than INTERNAL."""

from __future__ import annotations

import asyncio
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
    lost = isinstance(exc, DBAPIError) and exc.connection_invalidated
    if lost or isinstance(exc, (InterfaceError, PoolTimeout, ConnectionError)):
        _log.warning("database out of reach", error=type(exc).__name__)
        return Unavailable("the database does not answer", retry_after=1.0)
    _log.error("unexpected error", exc_info=exc)
    return Internal(f"internal error; request id {request_id.get()}")


async def _abort(context: Context, error: ServiceError) -> NoReturn:
    code, details = to_status(error)
    await context.abort(code, error.message, ((DETAILS_KEY, details),))
