"""A call that waits ends with its client."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

from local.sandboxes.asgi import App, Receive, Scope, Send


async def call_while_connected(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    """Have ``app`` answer, and cancel it when the client hangs up after it has sent its request.

    For applications that read no further than the end of the request.
    """
    whole = asyncio.Event()

    async def receiving() -> MutableMapping[str, Any]:
        message = await receive()
        if not message.get("more_body", False):
            whole.set()
        return message

    async def hung_up() -> None:
        await whole.wait()
        while (await receive())["type"] != "http.disconnect":
            pass

    call = asyncio.ensure_future(app(scope, receiving, send))
    watch = asyncio.create_task(hung_up())
    try:
        await asyncio.wait((call, watch), return_when=asyncio.FIRST_COMPLETED)
        if call.done():
            call.result()
    finally:
        for task in (call, watch):
            task.cancel()
        await asyncio.gather(call, watch, return_exceptions=True)
