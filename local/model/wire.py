"""The shape of a request's body. What each block may hold follows the official SDK's types."""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
)


def _as_blocks(content: object) -> object:
    """A string is short for one text block; an empty one for none."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return content


Sampling = ("temperature", "top_p", "top_k")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CacheControl(_Strict):
    """A breakpoint of the prompt cache."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] = "5m"


class _Cacheable(_Strict):
    cache_control: CacheControl | None = None


class TextBlock(_Cacheable):
    """Text."""

    type: Literal["text"]
    text: StrictStr
    citations: list[Any] | None = None


class ImageBlock(_Cacheable):
    """An image; counted, not looked at."""

    type: Literal["image"]
    source: dict[str, Any]
    transformations: Any = None


class DocumentBlock(_Cacheable):
    """A document; counted, not read."""

    type: Literal["document"]
    source: dict[str, Any]
    title: StrictStr | None = None
    context: StrictStr | None = None
    citations: dict[str, Any] | None = None


class SearchResultBlock(_Cacheable):
    """A search result; counted, not read."""

    type: Literal["search_result"]
    source: StrictStr
    title: StrictStr
    content: list[TextBlock]
    citations: dict[str, Any] | None = None


class ThinkingBlock(_Strict):
    """A thought of an earlier answer, given back as it was."""

    type: Literal["thinking"]
    thinking: StrictStr
    signature: StrictStr


class RedactedThinkingBlock(_Strict):
    """A thought that was not shown. This server makes none, and takes none."""

    type: Literal["redacted_thinking"]
    data: StrictStr


class ToolUseBlock(_Cacheable):
    """A tool call of an earlier answer."""

    type: Literal["tool_use"]
    id: Annotated[StrictStr, Field(pattern=r"^[a-zA-Z0-9_-]+$")]
    name: Annotated[StrictStr, Field(min_length=1, max_length=200)]
    input: dict[str, Any]
    caller: dict[str, Any] | None = None
    toolset_name: StrictStr | None = None


ResultContent = Annotated[
    TextBlock | ImageBlock | DocumentBlock | SearchResultBlock, Field(discriminator="type")
]


class ToolResultBlock(_Cacheable):
    """What a tool answered."""

    type: Literal["tool_result"]
    tool_use_id: Annotated[StrictStr, Field(pattern=r"^[a-zA-Z0-9_-]+$")]
    content: Annotated[list[ResultContent], BeforeValidator(_as_blocks)] = []
    is_error: StrictBool = False
    toolset_name: StrictStr | None = None


ContentBlock = Annotated[
    TextBlock
    | ImageBlock
    | DocumentBlock
    | SearchResultBlock
    | ThinkingBlock
    | RedactedThinkingBlock
    | ToolUseBlock
    | ToolResultBlock,
    Field(discriminator="type"),
]


class Message(_Strict):
    """One message of the conversation."""

    role: Literal["user", "assistant", "system"]
    content: Annotated[list[ContentBlock], BeforeValidator(_as_blocks)]


class ToolDefinition(BaseModel):
    """A tool of the caller's own, or one of the vendor's known by its `type`."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: Annotated[StrictStr, Field(pattern=r"^[a-zA-Z0-9_-]{1,128}$")]
    type: StrictStr | None = None
    input_schema: dict[str, Any] | None = None
    eager_input_streaming: StrictBool | None = None
    cache_control: CacheControl | None = None


class ToolChoice(_Strict):
    """Whether tools may be used. Forcing one is refused."""

    type: Literal["auto", "any", "tool", "none"]
    name: StrictStr | None = None
    disable_parallel_tool_use: StrictBool = False


class ThinkingConfig(_Strict):
    """Whether the answer may think aloud."""

    type: Literal["adaptive", "between_tools", "enabled", "disabled"]
    budget_tokens: StrictInt | None = None
    display: Literal["summarized", "omitted"] | None = None


class Metadata(_Strict):
    """Who asks, in the caller's own terms."""

    user_id: Annotated[StrictStr, Field(max_length=256)] | None = None


class CountBody(BaseModel):
    """A body of `POST /v1/messages/count_tokens`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Annotated[StrictStr, Field(min_length=1, max_length=256)]
    messages: Annotated[list[Message], Field(min_length=1, max_length=100_000)]
    system: Annotated[list[TextBlock], BeforeValidator(_as_blocks)] = []
    tools: list[ToolDefinition] = []
    tool_choice: ToolChoice | None = None
    thinking: ThinkingConfig | None = None
    cache_control: CacheControl | None = None
    output_config: dict[str, Any] | None = None
    speed: Literal["standard", "fast"] | None = None


class MessagesBody(CountBody):
    """A body of `POST /v1/messages`."""

    max_tokens: Annotated[StrictInt, Field(ge=0)]
    stream: StrictBool = False
    stop_sequences: Annotated[list[StrictStr], Field(max_length=8191)] = []
    metadata: Metadata | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
    inference_geo: StrictStr | None = None
    container: Any = None
    diagnostics: dict[str, Any] | None = None
