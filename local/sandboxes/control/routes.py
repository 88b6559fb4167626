"""The vendor's routes. A handler checks, calls the engine and puts its answer into words."""

from __future__ import annotations

import asyncio
import hmac
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import structlog

from local.sandboxes import errors
from local.sandboxes.asgi import (
    ClientGoneError,
    Headers,
    Receive,
    Scope,
    Send,
    answer_json,
    body_parts,
    header,
)
from local.sandboxes.control import bodies, listing
from local.sandboxes.engine import Engine
from local.sandboxes.sandbox import Sandbox

log = structlog.get_logger(__name__)

_MAX_BODY = 1024 * 1024
_NOT_OFFERED = ("/templates", "/v2/templates", "/v3/templates", "/snapshots", "/volumes", "/teams")
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


@dataclass(frozen=True)
class Request:
    """What a handler needs to know."""

    path: re.Match[str]
    query: dict[str, list[str]]
    body: bytes
    idempotency_key: str


@dataclass(frozen=True)
class Answer:
    """What a handler says; ``value`` None is no body."""

    status: int
    value: Any = None
    headers: Headers | None = None


Handler = Callable[[Request], Awaitable[Answer]]


@dataclass(frozen=True)
class Defaults:
    """Seconds a sandbox lives when the caller names none: now, and on the v1 routes."""

    timeout: int
    legacy_timeout: int


class ControlPlane:
    """The ASGI application of the control plane."""

    def __init__(self, engine: Engine, api_key: str, domain: str, defaults: Defaults) -> None:
        self._engine = engine
        self._api_key = api_key
        self._domain = domain
        self._defaults = defaults
        self._by_key: dict[str, asyncio.Task[Sandbox]] = {}
        one = r"/sandboxes/(?P<id>[^/]+)"
        self._routes: list[tuple[str, re.Pattern[str], Handler]] = [
            (method, re.compile(path + "$"), handler)
            for method, path, handler in (
                ("POST", "(?P<v2>/v2)?/sandboxes", self._create),
                ("GET", "(/v2)?/sandboxes", self._list),
                ("GET", one, self._info),
                ("DELETE", one, self._kill),
                ("POST", f"(?P<v2>/v2)?{one}/connect", self._connect),
                ("POST", f"{one}/resume", self._connect),
                ("POST", f"{one}/pause", self._pause),
                ("POST", f"{one}/timeout", self._timeout),
                ("POST", f"{one}/refreshes", self._timeout_refresh),
                ("GET", f"{one}/metrics", self._metrics),
                ("GET", f"(/v2)?{one}/logs", self._logs),
                ("PUT", f"{one}/network", self._network),
                ("POST", f"{one}/(?P<what>snapshots|fork)", self._not_offered),
            )
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
            status = next((code for kind, code in _STATUSES.items() if isinstance(exc, kind)), 500)
            reply = Answer(status, {"code": status, "message": exc.message})
        if reply.value is None:
            await send({"type": "http.response.start", "status": reply.status, "headers": []})
            await send({"type": "http.response.body", "body": b""})
        else:
            await answer_json(send, reply.status, reply.value, reply.headers)

    async def _reply(self, scope: Scope, receive: Receive) -> Answer:
        self._authenticate(header(scope, b"x-api-key"))
        handler, match = self._find(scope["method"], scope["path"])
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        body = await _read(receive)
        return await handler(Request(match, query, body, header(scope, b"idempotency-key")))

    def _authenticate(self, key: str) -> None:
        if not key:
            raise errors.UnauthenticatedError("the X-API-KEY header is missing: any key will do")
        if self._api_key and not hmac.compare_digest(key.encode(), self._api_key.encode()):
            raise errors.UnauthenticatedError(
                "the key in the X-API-KEY header is not this engine's"
            )

    def _find(self, method: str, path: str) -> tuple[Handler, re.Match[str]]:
        for verb, pattern, handler in self._routes:
            match = pattern.match(path)
            if match and verb == method:
                return handler, match
        if path.startswith(_NOT_OFFERED):
            raise errors.UnsupportedError(f"{path}: this local engine does not offer that")
        raise errors.NotFoundError(f"no route for {method} {path}")

    async def _create(self, request: Request) -> Answer:
        order = bodies.parse(bodies.NewSandbox, request.body)
        default = self._defaults.timeout if request.path["v2"] else self._defaults.legacy_timeout
        sandbox = await self._create_once(request.idempotency_key, order, default)
        return Answer(201, bodies.created(sandbox, self._domain))

    async def _create_once(self, key: str, body: bodies.NewSandbox, default: int) -> Sandbox:
        """The same key is the same sandbox, also for a retry that overtakes the first try."""
        order = body.order(default)
        task = self._by_key.get(key)
        if task is None:
            task = asyncio.create_task(self._engine.create(order))
            if key:
                self._forget_the_gone()
                self._by_key[key] = task
        try:
            # Shielded: a client that gives up and retries must find what it asked for.
            sandbox = await asyncio.shield(task)
        except errors.EngineError:
            self._by_key.pop(key, None)
            raise
        if key and sandbox.gone.is_set():
            self._by_key.pop(key, None)
            return await self._create_once(key, body, default)
        return sandbox

    def _forget_the_gone(self) -> None:
        for key, task in list(self._by_key.items()):
            if task.done() and (task.exception() or task.result().gone.is_set()):
                del self._by_key[key]

    async def _list(self, request: Request) -> Answer:
        found, token = listing.page(self._engine.all(), listing.parse(request.query))
        limits = self._engine.caps.limits
        headers = [(b"x-next-token", token.encode())] if token else []
        return Answer(200, [bodies.listed(one, limits) for one in found], headers)

    async def _info(self, request: Request) -> Answer:
        sandbox = self._engine.get(request.path["id"])
        return Answer(200, bodies.detail(sandbox, self._engine.caps.limits, self._domain))

    async def _kill(self, request: Request) -> Answer:
        self._engine.kill(request.path["id"])
        return Answer(204)

    async def _connect(self, request: Request) -> Answer:
        asked = bodies.parse(bodies.Connect, request.body)
        default = (
            self._defaults.timeout
            if "/v2" in request.path.string
            else self._defaults.legacy_timeout
        )
        seconds = default if asked.timeout is None else asked.timeout
        asked.refuse_the_impossible()
        sandbox, resumed = self._engine.connect(request.path["id"], seconds)
        return Answer(201 if resumed else 200, bodies.created(sandbox, self._domain))

    async def _pause(self, request: Request) -> Answer:
        bodies.parse(bodies.Pause, request.body).refuse_the_impossible()
        self._engine.pause(request.path["id"])
        return Answer(204)

    async def _timeout(self, request: Request) -> Answer:
        asked = bodies.parse(bodies.Timeout, request.body)
        self._engine.set_timeout(request.path["id"], asked.timeout)
        return Answer(204)

    async def _timeout_refresh(self, request: Request) -> Answer:
        asked = bodies.parse(bodies.Connect, request.body)
        self._engine.connect(request.path["id"], asked.timeout or self._defaults.legacy_timeout)
        return Answer(204)

    async def _metrics(self, request: Request) -> Answer:
        measured = await self._engine.metrics(request.path["id"])
        limits = self._engine.caps.limits
        return Answer(200, [bodies.metrics(measured, limits)] if measured is not None else [])

    async def _network(self, request: Request) -> Answer:
        self._engine.get(request.path["id"])
        bodies.parse(bodies.Network, request.body).refuse_the_impossible()
        return Answer(204)

    async def _not_offered(self, request: Request) -> Answer:
        self._engine.get(request.path["id"])
        raise errors.UnsupportedError(f"{request.path['what']}: this local engine has none yet")

    async def _logs(self, request: Request) -> Answer:
        self._engine.get(request.path["id"])
        return Answer(200, {"logs": [], "logEntries": []})


async def _read(receive: Receive) -> bytes:
    body = b""
    async for part in body_parts(receive):
        body += part
        if len(body) > _MAX_BODY:
            raise errors.InvalidError(f"body: is larger than {_MAX_BODY} bytes")
    return body
