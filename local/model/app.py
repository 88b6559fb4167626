"""The composition root: from settings to an ASGI application."""

import contextlib

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from local.model import errors, faults, http
from local.model.faults import Cut, Faults
from local.model.http import Api
from local.model.ledger import Ledger
from local.model.pace import Pace
from local.model.prompt_cache import PromptCache
from local.model.service import Composer
from local.model.settings import Settings

log = structlog.get_logger(__name__)
CLIENT_CLOSED_REQUEST = 499


def build(settings: Settings) -> ASGIApp:
    """The server's application."""
    key = settings.api_key.get_secret_value() if settings.api_key else None
    pace = Pace(settings.tokens_per_second, settings.first_token_delay_ms / 1000)
    wrong = Faults(faults.rules(settings.faults), settings.fault_seed)
    api = Api(Composer(PromptCache()), Ledger(), pace, wrong, settings.max_body_bytes, key)
    inner = Starlette(
        routes=api.routes(),
        exception_handlers={
            errors.ApiError: _on_api_error,
            HTTPException: _on_http_exception,
            ClientDisconnect: _on_disconnect,
            Cut: _on_cut,
            Exception: _on_unknown,
        },
    )
    return RequestId(inner)


class RequestId:
    """Names each request, in its state and in the answer's `request-id` header."""

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        request_id = http.new_request_id()
        scope.setdefault("state", {})["request_id"] = request_id

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message.get("headers", []),
                    (b"request-id", request_id.encode()),
                ]
            await send(message)

        # A cut answer is left unfinished: the server then closes the connection.
        with contextlib.suppress(Cut):
            await self._inner(scope, receive, named)


def _on_api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.ApiError)
    log.info("refused", status=error.status, type=error.type, path=request.url.path)
    return http.error_response(error, request.state.request_id)


def _on_http_exception(request: Request, error: Exception) -> Response:
    """Starlette's own: a route or a method that does not exist."""
    assert isinstance(error, HTTPException)
    known: errors.ApiError = errors.NotFound("Not Found")
    if error.status_code == errors.MethodNotAllowed.status:
        known = errors.MethodNotAllowed("Method Not Allowed")
    return http.error_response(known, request.state.request_id)


def _on_disconnect(_request: Request, _error: Exception) -> Response:
    return Response(status_code=CLIENT_CLOSED_REQUEST)


async def _on_cut(_request: Request, error: Exception) -> Response:
    raise error


def _on_unknown(request: Request, error: Exception) -> Response:
    log.error("failed", error=type(error).__name__, path=request.url.path)
    known = errors.ApiError("Internal server error")
    return http.error_response(known, request.state.request_id)
