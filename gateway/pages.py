"""What the gateway answers itself, beside the API: health, the API's description, a signpost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from google.rpc import code_pb2

from gateway.health import HealthProbe
from gateway.transcoder.errors import refusal
from gateway.transcoder.exchange import Exchange

_JSON = (b"content-type", b"application/json")
_NOSNIFF = (b"x-content-type-options", b"nosniff")

Page = Callable[[], Awaitable[tuple[int, bytes]]]  # HTTP status and JSON


class Pages:
    """By path. All are read-only and public."""

    def __init__(self, probe: HealthProbe, document: dict[str, Any]) -> None:
        """``document`` is the OpenAPI description."""
        self.draining = False
        self._probe = probe
        self._document = orjson.dumps(document)
        self._index = orjson.dumps(
            {
                "name": document["info"]["title"],
                "openapi": "/openapi.json",
                "health": {"live": "/livez", "ready": "/readyz"},
            }
        )
        self._pages: dict[str, Page] = {
            "/": self._show_index,
            "/livez": self._show_life,
            "/readyz": self._show_readiness,
            "/openapi.json": self._show_document,
        }

    def __contains__(self, path: str) -> bool:
        return path in self._pages

    async def serve(self, path: str, exchange: Exchange) -> None:
        """Answers; raises HttpError 405 for anything but reading."""
        allow = (b"allow", b"GET, HEAD, OPTIONS")
        if exchange.method == "OPTIONS":
            await exchange.answer(204, [allow])
            return
        if exchange.method not in ("GET", "HEAD"):
            text = f"{exchange.method} is not a method of this route"
            code = code_pb2.UNIMPLEMENTED
            raise refusal(405, code, "METHOD_NOT_ALLOWED", text, headers=[allow])
        status, body = await self._pages[path]()
        await exchange.answer(status, [_JSON, _NOSNIFF, (b"cache-control", b"no-cache")], body)

    async def _show_index(self) -> tuple[int, bytes]:
        return 200, self._index

    async def _show_life(self) -> tuple[int, bytes]:
        return 200, orjson.dumps({"status": "alive"})

    async def _show_document(self) -> tuple[int, bytes]:
        return 200, self._document

    async def _show_readiness(self) -> tuple[int, bytes]:
        found = await self._probe.check()
        ready = found.ready and not self.draining
        status = "draining" if self.draining else "ready" if ready else "unavailable"
        body = {"status": status, "services": found.services}
        return 200 if ready else 503, orjson.dumps(body)
