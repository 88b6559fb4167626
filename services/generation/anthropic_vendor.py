"""Anthropic's Messages API through the official SDK. Its types and errors end here.

The raw stream is read, not the SDK's ``stream()`` helper: that one parses a tool's whole input again with each delta.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, cast

import anthropic
import httpx2
from anthropic import AsyncAnthropic
from anthropic.types import ModelInfo as VendorModel
from anthropic.types import RawMessageStreamEvent, TextBlockParam

from services.generation.anthropic_clients import Client
from services.generation.language_model import (
    Block,
    BlockClosed,
    CallInput,
    CallOpened,
    ModelError,
    ModelEvent,
    ModelInfo,
    Said,
    Thought,
    TurnClosed,
    TurnOpened,
    TurnRequest,
)
from services.generation.model import Tokens

# A list is short: who waits for it longer does without.
_LIST_SECONDS = 5.0
# How the clouds' own libraries say that there are no credentials, or wrong ones.
_CLOUD_LIBRARIES = ("botocore", "google.auth")
_DOOR = (408, 409, 429)
_OVERLOADED = frozenset(
    {
        "overloaded_error",
        "rate_limit_error",
        "api_error",
        "timeout_error",
        # Bedrock's own names, in mid-stream.
        "throttlingException",
        "serviceUnavailableException",
        "internalServerException",
        "modelStreamErrorException",
        "modelTimeoutException",
    }
)
# What a stream may hold once its message has started, and the start itself.
_FROM_THE_START = frozenset(
    {
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    }
)
_FINAL = {
    400: ("MODEL_REJECTED", "The model did not accept the request."),
    401: ("MODEL_CREDENTIALS", "The platform's key for the model is not valid."),
    402: ("MODEL_CREDENTIALS", "The platform's account with the model has no credit."),
    403: ("MODEL_CREDENTIALS", "The platform's key may not use this model."),
    404: ("MODEL_NOT_FOUND", "There is no model of this name."),
    413: ("MODEL_REJECTED", "The project is too large for the model."),
}


class AnthropicModel:
    """A ``LanguageModel`` over one of the SDK's clients."""

    def __init__(self, client: Client) -> None:
        """``client`` as ``open_client`` opens it."""
        self._client = client

    async def stream(self, request: TurnRequest) -> AsyncGenerator[ModelEvent, None]:
        """The turn's events. Raises ``ModelError``."""
        reading = _Reading()
        try:
            # The clouds do not know the breakpoint that moves along by itself.
            body = _body(request, automatic=isinstance(self._client, AsyncAnthropic))
            stream = await self._client.messages.create(**body, stream=True)
            try:
                async for event in stream:
                    for ours in reading.next(event):
                        yield ours
            finally:
                await stream.close()
        except (anthropic.AnthropicError, httpx2.HTTPError, httpx2.StreamError) as exc:
            raise _translated(exc, begun=reading.begun) from exc
        except (ValueError, LookupError, AttributeError, TypeError) as exc:
            # Not the protocol: an event that is no JSON, a delta of a block that was never begun.
            raise _unreadable(reading.begun) from exc
        except Exception as exc:
            if not _is_of_credentials(exc):
                raise
            raise ModelError(*_FINAL[401], begun=reading.begun) from exc
        if not reading.stopped:
            # The SDK reports a stream that ends too early as a normal end.
            raise ModelError(
                "MODEL_UNAVAILABLE",
                "The model's answer broke off.",
                retryable=True,
                begun=reading.begun,
            )

    async def models(self) -> list[ModelInfo] | None:
        """See ``ModelList``. The clouds' clients have no list."""
        if not isinstance(self._client, AsyncAnthropic):
            return None
        try:
            found = self._client.models.list(limit=1_000, timeout=_LIST_SECONDS)
            return [_info(model) async for model in found if model.lifecycle != "retired"]
        except (anthropic.AnthropicError, httpx2.HTTPError, httpx2.StreamError) as exc:
            raise _translated(exc, begun=False) from exc
        except (ValueError, LookupError, AttributeError, TypeError) as exc:
            raise _unreadable(False) from exc

    async def model(self, name: str) -> ModelInfo | None:
        """See ``ModelList``."""
        if not isinstance(self._client, AsyncAnthropic):
            return ModelInfo(name)
        try:
            found = await self._client.models.retrieve(name, timeout=_LIST_SECONDS)
            return None if found.lifecycle == "retired" else _info(found)
        except (anthropic.NotFoundError, anthropic.BadRequestError):
            return None
        except (anthropic.AnthropicError, httpx2.HTTPError, httpx2.StreamError) as exc:
            raise _translated(exc, begun=False) from exc
        except (ValueError, LookupError, AttributeError, TypeError) as exc:
            # The SDK refuses a name that would lead elsewhere.
            raise _unreadable(False) from exc

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()


def _info(model: VendorModel) -> ModelInfo:
    return ModelInfo(
        model.id, model.display_name or "", model.max_input_tokens or 0, model.max_tokens or 0
    )


def _is_of_credentials(error: Exception) -> bool:
    return type(error) is RuntimeError or type(error).__module__.startswith(_CLOUD_LIBRARIES)


def _body(request: TurnRequest, *, automatic: bool) -> dict[str, Any]:
    frozen: TextBlockParam = {
        "type": "text",
        "text": request.system,
        # One breakpoint behind tools and system, which no turn changes; the history's own moves along.
        "cache_control": {"type": "ephemeral", "ttl": "1h"},
    }
    body: dict[str, Any] = {
        "model": request.model,
        "max_tokens": request.max_tokens,
        "system": [frozen],
        "tools": list(request.tools),
        "messages": request.messages if automatic else _marked(request.messages),
    }
    if automatic:
        body["cache_control"] = {"type": "ephemeral"}
    if request.user:
        body["metadata"] = {"user_id": request.user}
    return body


def _marked(messages: list[Block]) -> list[Block]:
    """With a breakpoint behind the last block."""
    *before, last = messages
    if not last["content"] or isinstance(last["content"], str):
        return messages
    *blocks, end = last["content"]
    return [
        *before,
        {**last, "content": [*blocks, {**end, "cache_control": {"type": "ephemeral"}}]},
    ]


class _Reading:
    """Follows one stream and puts its blocks together."""

    def __init__(self) -> None:
        self.begun = False
        self.stopped = False
        self._tokens = Tokens()
        self._stop_reason = ""
        self._blocks: dict[int, Block] = {}
        self._parts: dict[int, list[str]] = {}

    def next(self, event: RawMessageStreamEvent) -> list[ModelEvent]:
        """Our events for one of theirs. A kind that we don't know says nothing to us."""
        if event.type in _FROM_THE_START and self.begun == (event.type == "message_start"):
            raise ValueError(f"{event.type}: a message starts once, before all else of it")
        match event.type:
            case "message_start":
                self.begun = True
                self._tokens = _tokens(event.message.usage, Tokens())
                return [TurnOpened(self._tokens)]
            case "content_block_start":
                return self._opened(event.index, event.content_block.to_dict(mode="json"))
            case "content_block_delta":
                return self._delta(event.index, event.delta)
            case "content_block_stop":
                return self._closed(event.index)
            case "message_delta":
                self._stop_reason = event.delta.stop_reason or self._stop_reason
                self._tokens = _tokens(event.usage, self._tokens)
            case "message_stop":
                self.stopped = True
                return [TurnClosed(self._stop_reason, self._tokens)]
        return []

    def _opened(self, index: int, block: Block) -> list[ModelEvent]:
        self._blocks[index], self._parts[index] = block, []
        if block.get("type") == "tool_use":
            return [CallOpened(str(block["id"]), str(block["name"]))]
        return []

    def _delta(self, index: int, delta: Any) -> list[ModelEvent]:
        block, parts = self._blocks[index], self._parts[index]
        match delta.type:
            case "text_delta":
                parts.append(_clean(delta.text))
                return [Said(parts[-1])]
            case "thinking_delta":
                parts.append(delta.thinking)
                return [Thought(len(delta.thinking))]
            case "signature_delta":
                block["signature"] = delta.signature
            case "input_json_delta":
                parts.append(_clean(delta.partial_json))
                return [CallInput(str(block.get("id")), parts[-1])]
            case "citations_delta":
                block["citations"] = [
                    *(block.get("citations") or []),
                    delta.citation.to_dict(mode="json"),
                ]
        return []

    def _closed(self, index: int) -> list[ModelEvent]:
        block, whole = self._blocks.pop(index), "".join(self._parts.pop(index))
        kind = block.get("type")
        if kind in {"tool_use", "server_tool_use"}:
            return [BlockClosed(block, whole)]
        if kind in {"text", "thinking"}:
            block[kind] = str(block.get(kind) or "") + whole
        return [BlockClosed(block)]


def _tokens(usage: Any, before: Tokens) -> Tokens:
    """Deltas count from the turn's beginning and leave out what does not change."""
    split = getattr(usage, "cache_creation", None)
    written = _given(usage, "cache_creation_input_tokens")
    hour = split.ephemeral_1h_input_tokens if split else before.cache_write_1h
    if written is None:
        written = before.cache_write_5m + before.cache_write_1h
    read, cached = _given(usage, "input_tokens"), _given(usage, "cache_read_input_tokens")
    return Tokens(
        read=before.read if read is None else read,
        written=usage.output_tokens or before.written,
        cache_read=before.cache_read if cached is None else cached,
        cache_write_5m=max(0, written - hour),
        cache_write_1h=hour,
        geography=getattr(usage, "inference_geo", None) or before.geography,
    )


def _given(usage: Any, name: str) -> int | None:
    return cast("int | None", getattr(usage, name, None))


def _clean(text: str) -> str:
    """The text without lone surrogates, which no UTF-8 can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _translated(error: Exception, *, begun: bool) -> ModelError:
    if isinstance(error, anthropic.APIStatusError):
        return _from_status(error, begun)
    if isinstance(error, (anthropic.APIConnectionError, httpx2.HTTPError, httpx2.StreamError)):
        return ModelError(
            "MODEL_UNAVAILABLE", "The model does not answer.", retryable=True, begun=begun
        )
    return _unreadable(begun)


def _unreadable(begun: bool) -> ModelError:
    return ModelError(
        "MODEL_PROTOCOL", "The model's answer could not be read.", retryable=True, begun=begun
    )


def _from_status(error: anthropic.APIStatusError, begun: bool) -> ModelError:
    status = error.status_code
    passing = status in _DOOR or status >= 500 or (status < 400 and error.type in _OVERLOADED)
    if passing:
        return ModelError(
            "MODEL_UNAVAILABLE",
            "The model is overloaded or out of reach.",
            retryable=True,
            retry_after=_retry_after(error.response.headers),
            begun=begun,
        )
    reason, message = _FINAL.get(status, ("MODEL_REJECTED", "The model refused the request."))
    return ModelError(reason, message, begun=begun)


def _retry_after(headers: httpx2.Headers) -> float | None:
    """Seconds, from ``retry-after-ms`` or ``retry-after``; a date or nonsense counts as nothing."""
    for name, factor in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) * factor)
        except (KeyError, ValueError):
            continue
    return None
