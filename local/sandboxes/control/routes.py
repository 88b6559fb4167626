"""The vendor's control plane: who calls, what for, and errors as the SDK reads them."""

from __future__ import annotations

import hmac
from urllib.parse import parse_qs

import structlog

from local.sandboxes import errors
from local.sandboxes.asgi import (
    ClientGoneError,
    Receive,
    Scope,
    Send,
    answer_json,
    body_parts,
    header,
)
from local.sandboxes.control.copies import Copies
from local.sandboxes.control.http import Answer, Defaults, Request
from local.sandboxes.control.lifecycle import Lifecycle
from local.sandboxes.control.logs import Logs
from local.sandboxes.control.names import is_own
from local.sandboxes.control.statuses import status_of
from local.sandboxes.engine import Engine

log = structlog.get_logger(__name__)

_MAX_BODY = 1024 * 1024
_NOT_OFFERED = ("/templates", "/v2/templates", "/v3/templates", "/volumes", "/secrets", "/teams")


class ControlPlane:
    """The ASGI application of the control plane."""

    def __init__(self, engine: Engine, api_key: str, domain: str, defaults: Defaults) -> None:
        self._engine = engine
        self._api_key = api_key
        self._domain = domain
        self._routes = [
            *Lifecycle(engine, domain, defaults).routes(),
            *Copies(engine, domain, defaults).routes(),
            *Logs(engine).routes(),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/health":
            await answer_json(send, 200, {"status": "ok", "sandboxes": len(self._engine.all())})
            return
        try:
            reply = await self._reply(scope, receive)
        except ClientGoneError:
            return
        except errors.EngineError as exc:
            status = status_of(exc)
            reply = Answer(status, {"code": status, "message": exc.message})
        except Exception:
            log.exception("a call failed", method=scope["method"], path=scope["path"])
            reply = Answer(500, {"code": 500, "message": "the engine failed: its log says why"})
        if reply.value is None:
            await send({"type": "http.response.start", "status": reply.status, "headers": []})
            await send({"type": "http.response.body", "body": b""})
        else:
            await answer_json(send, reply.status, reply.value, reply.headers)

    async def _reply(self, scope: Scope, receive: Receive) -> Answer:
        self._authenticate(header(scope, b"x-api-key"), header(scope, b"host"))
        method, path = scope["method"], scope["path"]
        for route in self._routes:
            match = route.path.fullmatch(path) if route.method == method else None
            if match:
                query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
                body = await _read(receive)
                return await route.handler(
                    Request(match, query, body, header(scope, b"idempotency-key"))
                )
        if path.startswith(_NOT_OFFERED):
            raise errors.UnsupportedError(f"{path}: this local engine does not offer that")
        raise errors.NotFoundError(f"no route for {method} {path}")

    def _authenticate(self, key: str, host: str) -> None:
        if not key:
            raise errors.UnauthenticatedError("the X-API-KEY header is missing: any key will do")
        if not self._api_key and not is_own(host, self._domain):
            raise errors.PermissionDeniedError(
                f"this engine takes any key, so it answers to its own names only, not to '{host}': "
                "set LOCAL_SANDBOXES_API_KEY, or LOCAL_SANDBOXES_DOMAIN"
            )
        if self._api_key and not hmac.compare_digest(key.encode(), self._api_key.encode()):
            raise errors.UnauthenticatedError(
                "the key in the X-API-KEY header is not this engine's"
            )


async def _read(receive: Receive) -> bytes:
    body = b""
    async for part in body_parts(receive):
        body += part
        if len(body) > _MAX_BODY:
            raise errors.InvalidError(f"body: is larger than {_MAX_BODY} bytes")
    return body
