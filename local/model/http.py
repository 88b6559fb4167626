"""The routes: from HTTP to the use cases and back."""

import asyncio
import hmac
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from local.model import answer, catalogue, errors, events, faults
from local.model.answer import Answer
from local.model.errors import AuthenticationFailed, InvalidRequest, NotFound, RequestTooLarge
from local.model.faults import Faults
from local.model.ledger import Entry, Ledger
from local.model.pace import Pace
from local.model.service import Composer

log = structlog.get_logger(__name__)
# Looking for a caller who hung up while a long answer is being made.
DISCONNECT_POLL_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Api:
    """The Messages API over what it is handed."""

    composer: Composer
    ledger: Ledger
    pace: Pace
    faults: Faults
    max_body_bytes: int
    api_key: str | None

    def routes(self) -> list[Route]:
        """Every route."""
        return [
            Route("/health", self.health, methods=["GET"]),
            Route("/v1/messages", self.messages, methods=["POST"]),
            Route("/v1/messages/count_tokens", self.count_tokens, methods=["POST"]),
            Route("/v1/models", self.models, methods=["GET"]),
            Route("/v1/models/{model_id}", self.model, methods=["GET"]),
            Route("/_local/usage", self.usage, methods=["GET"]),
        ]

    async def health(self, _request: Request) -> Response:
        """Ready as soon as it answers."""
        return _json({"status": "ok", "model": catalogue.COMPOSER})

    async def messages(self, request: Request) -> Response:
        """An answer, streamed or whole."""
        self._admit(request)
        raw = await self._body(request)
        body = self.composer.read(raw, request.headers["anthropic-version"])
        fault = self.faults.pick(request.headers.get(faults.HEADER, ""), raw)
        faults.refuse(fault)
        user = body.metadata.user_id if body.metadata else None
        entry = self.ledger.open(Entry(request.state.request_id, body.model, body.stream, user))
        made = self.composer.answer(body, fault)
        entry.opened(made)
        log.info("answering", model=body.model, stream=body.stream, tokens=made.output_tokens)
        if body.stream:
            headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}
            return StreamingResponse(
                self._stream(made, entry, fault), media_type="text/event-stream", headers=headers
            )
        return await self._whole(request, made, entry, fault)

    async def count_tokens(self, request: Request) -> Response:
        """Input tokens of a request that is not made."""
        self._admit(request)
        return _json({"input_tokens": self.composer.count(await self._body(request))})

    async def models(self, request: Request) -> Response:
        """The models, in pages by `limit`, `after_id` and `before_id`."""
        self._admit(request)
        return _json(_page(catalogue.everything(), request.query_params))

    async def model(self, request: Request) -> Response:
        """One model."""
        self._admit(request)
        return _json(catalogue.info(request.path_params["model_id"]))

    async def usage(self, request: Request) -> Response:
        """What was served, of one `request_id` or of all. No part of the vendor's API."""
        self._admit(request, versioned=False)
        return _json(self.ledger.report(request.query_params.get("request_id")))

    async def _stream(self, made: Answer, entry: Entry, fault: str) -> AsyncIterator[bytes]:
        frames = events.frames(made, self.pace.delta_tokens)
        broken = fault in faults.STREAMS
        said = faults.half(frames, made) if broken else frames
        async for chunk in self.pace.chunks(said, entry.said):
            yield chunk
        if not broken:
            entry.closed(made)
        elif fault == "error":
            error = errors.Overloaded("A fault on request: error")
            yield events.error_frame(errors.body(error, entry.request_id)).data
        elif fault == "cut":
            raise faults.Cut
        elif fault == "stall":
            # Ends when the caller hangs up or the server stops: both cancel it.
            await asyncio.Event().wait()

    async def _whole(self, request: Request, made: Answer, entry: Entry, fault: str) -> Response:
        if fault == "error":
            raise errors.Overloaded("A fault on request: error")
        if fault in ("cut", "eof"):
            raise faults.Cut
        while fault == "stall" and not await request.is_disconnected():  # noqa: ASYNC110  # no event tells it
            await asyncio.sleep(DISCONNECT_POLL_SECONDS)
        async for _ in self.pace.silence(made.output_tokens, DISCONNECT_POLL_SECONDS):
            if await request.is_disconnected():
                raise ClientDisconnect
        entry.closed(made)
        return _json(events.message(made))

    def _admit(self, request: Request, *, versioned: bool = True) -> None:
        """Raise AuthenticationFailed or InvalidRequest unless the headers are in order."""
        if self.api_key is not None and not _has_key(request.headers, self.api_key):
            raise AuthenticationFailed("invalid API key (`Authorization: Bearer` or `x-api-key`)")
        if versioned and not request.headers.get("anthropic-version"):
            raise InvalidRequest("anthropic-version: header is required")

    async def _body(self, request: Request) -> bytes:
        """The body, as long as it is within the limit; raises RequestTooLarge."""
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > self.max_body_bytes:
                raise RequestTooLarge(f"Request exceeds the maximum of {self.max_body_bytes} bytes")
        return bytes(body)


def new_request_id() -> str:
    """An identifier of one request."""
    return answer.new_id("req")


def error_response(error: errors.ApiError, request_id: str) -> Response:
    """The answer for `error`."""
    return _json(errors.body(error, request_id), error.status)


def _json(document: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(document), status, media_type="application/json")


def _has_key(headers: Mapping[str, str], key: str) -> bool:
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    given = bearer.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
    return hmac.compare_digest(given.encode(), key.encode())


def _page(items: list[dict[str, Any]], query: Mapping[str, str]) -> dict[str, Any]:
    limit = query.get("limit", "20")
    if not limit.isascii() or not limit.isdigit() or not 1 <= int(limit) <= 1000:
        raise InvalidRequest("limit: Input should be between 1 and 1000")
    ids = [item["id"] for item in items]
    start, end = 0, len(items)
    if "after_id" in query:
        start = _index(ids, query["after_id"], "after_id") + 1
    if "before_id" in query:
        end = _index(ids, query["before_id"], "before_id")
        start = max(start, end - int(limit))
    page = items[start:end][: int(limit)]
    return {
        "data": page,
        "has_more": bool(page) and start + len(page) < end,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
    }


def _index(ids: list[str], identifier: str, field: str) -> int:
    if identifier not in ids:
        raise NotFound(f"{field}: {identifier}")
    return ids.index(identifier)
