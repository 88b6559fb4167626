"""What the proxy says itself: JSON for programs, a small page for who looks at it in a browser.

Statuses, fields and messages are the vendor's; so is that a script of any origin may read them.
"""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass

from local.sandboxes.asgi import Headers, Scope, Send
from local.sandboxes.preview.heads import TRAFFIC_HEADER, Request

_HTML = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 18vh auto; padding: 0 1.5rem }}
h1 {{ font-size: 1.4rem; margin: 0 0 .5rem }} code {{ font-size: .95em }}
</style></head>
<body><main><h1>{title}</h1><p>{text}</p></main></body></html>
"""
_BROWSER = re.compile(rb"mozilla|chrome|safari|firefox|edge|opera|msie", re.IGNORECASE)
_BY_SCRIPT = frozenset((b"cors", b"no-cors", b"same-origin", b"websocket"))


@dataclass(frozen=True, slots=True)
class Page:
    """A whole answer; its length is its body's."""

    status: int
    headers: Headers
    body: bytes


async def not_found(scope: Scope, send: Send) -> None:
    """The same to a request for the files or processes of a sandbox."""
    request = Request(scope["target"], scope["method"].encode(), b"", scope["headers"], old=False)
    page = no_sandbox(request)
    length = (b"content-length", b"%d" % len(page.body))
    start = {
        "status": page.status,
        "headers": [*page.headers, length] if page.body else page.headers,
    }
    await send({"type": "http.response.start", **start})
    await send({"type": "http.response.body", "body": page.body})


def no_sandbox(request: Request) -> Page:
    """No sandbox of that id runs here."""
    text = f"No sandbox {_code(request.target.sandbox_id)} runs here. It may have expired."
    return _not_found(request, "Sandbox not found", text)


def paused(request: Request) -> Page:
    """The sandbox is paused, and no request wakes it. Programs hear the same as for not found."""
    text = f"Connect to sandbox {_code(request.target.sandbox_id)} to wake it, then reload."
    return _not_found(request, "Sandbox paused", text)


def _not_found(request: Request, title: str, text: str) -> Page:
    value = {
        "sandboxId": request.target.sandbox_id,
        "message": "The sandbox was not found",
        "code": 502,
    }
    return _page(request, 502, value, title, text)


def port_closed(request: Request) -> Page:
    """The sandbox runs, and nothing in it listens on the port, or not to HTTP."""
    sandbox_id, port = request.target.sandbox_id, request.target.port
    value = {
        "sandboxId": sandbox_id,
        "message": "The sandbox is running but port is not open",
        "port": port,
        "code": 502,
    }
    text = (
        f"Nothing listens on port {port} of sandbox {_code(sandbox_id)} yet. "
        "Start a server there, then reload."
    )
    return _page(request, 502, value, f"Port {port} is not open", text)


def token_missing(request: Request) -> Page:
    """The sandbox's traffic is private, and the request came without its token, or a wrong one."""
    name = TRAFFIC_HEADER.decode()
    if request.token:
        title, what = "Wrong traffic access token", f"Provided token in header '{name}' is invalid"
    else:
        title, what = "Traffic access token missing", f"Token header '{name}' is missing"
    value = {
        "sandboxId": request.target.sandbox_id,
        "message": f"Sandbox is secured with traffic access token. {what}",
        "code": 403,
    }
    text = f"This sandbox is private: send its token in the header {_code(name)}."
    return _page(request, 403, value, title, text)


def failed(request: Request) -> Page:
    """The engine's own fault."""
    value = {"sandboxId": request.target.sandbox_id, "message": "Internal error", "code": 500}
    return _page(request, 500, value, "Internal error", "The engine's log says more.")


def _page(request: Request, status: int, value: dict[str, object], title: str, text: str) -> Page:
    headers = dict(reversed(request.headers))
    wanted = headers.get(b"access-control-request-headers", b"")
    if request.method == b"OPTIONS" and b"access-control-request-method" in headers:
        return _preflight(wanted)
    common = [(b"access-control-allow-origin", b"*"), (b"cache-control", b"no-store")]
    if _wants_html(headers):
        body = _HTML.format(title=html.escape(title), text=text).encode()
        return Page(status, [(b"content-type", b"text/html; charset=utf-8"), *common], body)
    body = json.dumps(value).encode()
    return Page(status, [(b"content-type", b"application/json; charset=utf-8"), *common], body)


def _preflight(wanted: bytes) -> Page:
    """A yes where no server can answer: a browser then asks, and its script reads the error."""
    allowed = [(b"access-control-allow-headers", wanted)] if wanted else []
    return Page(
        204,
        [
            (b"access-control-allow-origin", b"*"),
            (b"access-control-allow-methods", b"*"),
            *allowed,
            # Not the vendor's day: soon a server may listen here, with an answer of its own.
            (b"access-control-max-age", b"5"),
        ],
        b"",
    )


def _wants_html(headers: dict[bytes, bytes]) -> bool:
    """Whether somebody looks at it, as far as can be told: not a script, and a browser."""
    accept = headers.get(b"accept", b"").lower()
    if b"application/json" in accept and b"text/html" not in accept:
        return False
    mode = headers.get(b"sec-fetch-mode", b"").lower()
    if mode == b"navigate":
        return True
    if mode in _BY_SCRIPT or b"x-requested-with" in headers:
        return False
    return b"text/html" in accept or bool(_BROWSER.search(headers.get(b"user-agent", b"")))


def _code(text: str) -> str:
    return f"<code>{html.escape(text)}</code>"
