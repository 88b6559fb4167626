"""One port, three surfaces: which sandbox and port a request means, or the control plane."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from dataclasses import dataclass
from urllib.parse import parse_qs

from local.sandboxes.asgi import App, Receive, Scope, Send, header
from local.sandboxes.engine import Engine
from local.sandboxes.model import ENVD_PORT

SANDBOX_HEADER, PORT_HEADER = b"e2b-sandbox-id", b"e2b-sandbox-port"

_HOST = re.compile(r"^(\d{1,5})-([a-z0-9]+)\.", re.IGNORECASE)


@dataclass(frozen=True)
class Target:
    """A port of a sandbox; whether there is such a sandbox is another question."""

    sandbox_id: str
    port: int


def target_of(host: str, sandbox_header: str, port_header: str) -> Target | None:
    """What a request is for. A sandbox's own host name wins: what a page inside one sandbox asks
    of its own origin must never reach another one, whatever headers it sets."""
    match = _HOST.match(host)
    if match:
        return Target(match[2].lower(), int(match[1]))
    if sandbox_header:
        return Target(sandbox_header, int(port_header) if port_header.isdigit() else ENVD_PORT)
    return None


class Router:
    """The engine's ASGI application."""

    def __init__(self, engine: Engine, control: App, envd: App, proxy: App) -> None:
        self._engine = engine
        self._control = control
        self._envd = envd
        self._proxy = proxy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        target = target_of(
            header(scope, b"host"), header(scope, SANDBOX_HEADER), header(scope, PORT_HEADER)
        ) or self._signed(scope)
        if target is None:
            await self._control(scope, receive, send)
            return
        # The surfaces read the target from one place, whichever way it was said.
        scope["target"] = target
        scope["headers"] = [
            *(pair for pair in scope["headers"] if pair[0] not in (SANDBOX_HEADER, PORT_HEADER)),
            (SANDBOX_HEADER, target.sandbox_id.encode("latin-1")),
        ]
        surface = self._envd if target.port == ENVD_PORT else self._proxy
        await surface(scope, receive, send)

    def _signed(self, scope: Scope) -> Target | None:
        """A signed URL names no sandbox: it is the one whose token made the signature."""
        if scope["path"] != "/files" or b"signature=" not in scope["query_string"]:
            return None
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        for sandbox in self._engine.all():
            if signature_fits(query, scope["method"], sandbox.identity.access_token):
                return Target(sandbox.sandbox_id, ENVD_PORT)
        return None


def signature_fits(query: dict[str, list[str]], method: str, token: str) -> bool:
    """Whether a file URL was signed with ``token``; says nothing about its expiry."""
    given = query.get("signature", [""])[0]
    operation = "read" if method == "GET" else "write"
    fields = [query.get("path", [""])[0], operation, query.get("username", [""])[0], token]
    fields += query.get("signature_expiration", [])[:1]
    digest = hashlib.sha256(":".join(fields).encode()).digest()
    expected = "v1_" + base64.b64encode(digest).rstrip(b"=").decode()
    return hmac.compare_digest(given.encode(), expected.encode())


def signature_expired(query: dict[str, list[str]]) -> bool:
    """Whether a signed URL's time, in seconds since 1970, is over."""
    until = query.get("signature_expiration", [""])[0]
    return bool(until) and (not until.isdigit() or int(until) < time.time())
