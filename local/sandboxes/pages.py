"""What the proxy says itself: JSON for programs, a small page for who looks at it in a browser."""

from __future__ import annotations

import html

from local.sandboxes.asgi import Scope, Send, answer, answer_json, header

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 18vh auto; padding: 0 1.5rem }}
h1 {{ font-size: 1.4rem; margin: 0 0 .5rem }} code {{ font-size: .95em }}
</style></head>
<body><main><h1>{title}</h1><p>{text}</p></main></body></html>
"""


async def not_found(scope: Scope, send: Send) -> None:
    """No sandbox of that id runs here."""
    sandbox_id = scope["target"].sandbox_id
    value = {"sandboxId": sandbox_id, "message": "The sandbox was not found", "code": 502}
    text = f"No sandbox <code>{html.escape(sandbox_id)}</code> runs here. It may have expired."
    await _say(scope, send, 502, value, "Sandbox not found", text)


async def port_closed(scope: Scope, send: Send) -> None:
    """The sandbox runs, and nothing in it listens on the port."""
    target = scope["target"]
    value = {
        "sandboxId": target.sandbox_id,
        "message": "The sandbox is running but port is not open",
        "port": target.port,
        "code": 502,
    }
    text = (
        f"Nothing listens on port {target.port} of sandbox "
        f"<code>{html.escape(target.sandbox_id)}</code> yet. Start a server there, then reload."
    )
    await _say(scope, send, 502, value, f"Port {target.port} is not open", text)


async def token_missing(scope: Scope, send: Send, given: bool) -> None:
    """The sandbox's traffic is private, and the request came without its token, or a wrong one."""
    message = "The traffic access token is invalid" if given else "Missing traffic access token"
    sandbox_id = scope["target"].sandbox_id
    value = {"sandboxId": sandbox_id, "message": message, "code": 403}
    text = "This sandbox is private: send its token in the header e2b-traffic-access-token."
    await _say(scope, send, 403, value, message, text)


async def _say(
    scope: Scope, send: Send, status: int, value: dict[str, object], title: str, text: str
) -> None:
    if _is_navigation(scope):
        page = _PAGE.format(title=html.escape(title), text=text).encode()
        await answer(
            send, status, page, "text/html; charset=utf-8", [(b"cache-control", b"no-store")]
        )
    else:
        await answer_json(send, status, value)


def _is_navigation(scope: Scope) -> bool:
    mode = header(scope, b"sec-fetch-mode")
    if mode:
        return mode == "navigate"
    return "text/html" in header(scope, b"accept")
