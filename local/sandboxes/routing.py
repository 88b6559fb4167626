"""The engine itself, or the files and processes of one of its sandboxes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from urllib.parse import parse_qs

from local.sandboxes.asgi import App, Receive, Scope, Send, header
from local.sandboxes.engine import Engine
from local.sandboxes.model import ENVD_PORT
from local.sandboxes.targets import PORT_HEADER, SANDBOX_HEADER, Target, target_of


class Router:
    """The engine's ASGI application: the control plane, and files and processes of sandboxes.

    What is for any other port of a sandbox does not come here: the HTTP server asks the proxy.
    """

    def __init__(self, engine: Engine, control: App, envd: App) -> None:
        self._engine = engine
        self._control = control
        self._envd = envd

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
        await self._envd(scope, receive, send)

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
    return bool(until) and (
        not (until.isascii() and until.isdigit() and len(until) < 16) or int(until) < time.time()
    )
