"""The rules that a well-shaped request must also keep: as the vendor's newest models have them."""

from collections.abc import Iterator

from local.model.errors import InvalidRequest
from local.model.model import PAUSE
from local.model.wire import (
    CacheControl,
    CountBody,
    Message,
    MessagesBody,
    Sampling,
    TextBlock,
    ToolResultBlock,
    ToolUseBlock,
)

MAX_OUTPUT_TOKENS = 128_000
MAX_BREAKPOINTS = 4
# From this version on the API refuses the sampling parameters; older ones ignore them here.
STRICT_VERSION = "2026-10-21"


def check_sampling(body: MessagesBody, version: str) -> None:
    """No sampling parameters where the version has none."""
    if version < STRICT_VERSION:
        return
    for name in Sampling:
        if name in body.model_fields_set:
            raise InvalidRequest(f"{name}: `{name}` is not supported in version {version}.")


def check_output_limit(body: MessagesBody) -> None:
    """`max_tokens` within the model's limit."""
    if body.max_tokens > MAX_OUTPUT_TOKENS:
        raise InvalidRequest(
            f"max_tokens: {body.max_tokens} > {MAX_OUTPUT_TOKENS}, which is the maximum allowed "
            f"number of output tokens for {body.model}"
        )


def check(body: CountBody) -> None:
    """Everything that binds blocks, messages and tools to each other."""
    _check_modes(body)
    _check_tools(body)
    _check_roles(body.messages)
    for index, message in enumerate(body.messages):
        _check_content(index, message)
    _check_pairs(body.messages)
    _check_breakpoints(body)


def _check_modes(body: CountBody) -> None:
    if body.thinking is not None and body.thinking.type in ("enabled", "disabled"):
        raise InvalidRequest(
            f'thinking.type: "{body.thinking.type}" is not supported for this model; '
            'use "adaptive" or "between_tools", or leave `thinking` out.'
        )
    if body.tool_choice is None:
        return
    if body.tool_choice.type in ("any", "tool"):
        raise InvalidRequest(
            f'tool_choice.type: "{body.tool_choice.type}" is not supported for this model; '
            'use "auto" or "none".'
        )
    if not body.tools and body.tool_choice.type == "auto":
        raise InvalidRequest("tool_choice: may only be specified while providing `tools`")


def _check_tools(body: CountBody) -> None:
    names = [tool.name for tool in body.tools]
    if len(set(names)) != len(names):
        raise InvalidRequest("tools: Tool names must be unique.")
    for index, tool in enumerate(body.tools):
        custom = tool.type in (None, "custom")
        if custom and tool.input_schema is None:
            raise InvalidRequest(f"tools.{index}.custom.input_schema: Field required")
        if custom and (tool.input_schema or {}).get("type") != "object":
            raise InvalidRequest(
                f"tools.{index}.custom.input_schema.type: Input should be 'object'"
            )
        if not custom and tool.eager_input_streaming is not None:
            raise InvalidRequest(
                f"tools.{index}.{tool.type}.eager_input_streaming: Extra inputs are not permitted"
            )
    if not body.tools and any(_uses_tools(message) for message in body.messages):
        raise InvalidRequest(
            "Requests which include `tool_use` or `tool_result` blocks must define tools"
        )


def _uses_tools(message: Message) -> bool:
    return any(isinstance(block, ToolUseBlock | ToolResultBlock) for block in message.content)


def _check_roles(messages: list[Message]) -> None:
    if messages[0].role != "user":
        raise InvalidRequest('messages: first message must use the "user" role')
    if messages[-1].role == "assistant" and not _paused(messages[-1]):
        raise InvalidRequest(
            "This model does not support assistant message prefill. "
            "The conversation must end with a user message."
        )


def _paused(message: Message) -> bool:
    """Whether `message` is one that was paused: it is sent back as it is."""
    last = message.content[-1] if message.content else None
    return isinstance(last, TextBlock) and last.text == PAUSE


def _check_content(index: int, message: Message) -> None:
    if not message.content:
        raise InvalidRequest(f"messages.{index}: all messages must have non-empty content")
    for number, block in enumerate(message.content):
        where = f"messages.{index}.content.{number}"
        if isinstance(block, TextBlock) and not block.text:
            raise InvalidRequest(f"{where}: text content blocks must be non-empty")
        wrong = {"user": ("tool_use", "thinking"), "assistant": ("tool_result", "image")}
        if block.type in wrong.get(message.role, ()):
            raise InvalidRequest(
                f"{where}: `{block.type}` blocks can not be in {message.role} messages"
            )
        if message.role == "system" and block.type != "text":
            raise InvalidRequest(f"{where}: system messages may only contain text")


def _check_pairs(messages: list[Message]) -> None:
    """Each call is answered at the head of the next message, and only calls are answered."""
    asked: list[str] = []
    for index, message in enumerate(messages):
        answered = _answered(index, message, asked)
        missing = [identifier for identifier in asked if identifier not in answered]
        if missing:
            raise InvalidRequest(
                f"messages.{index - 1}: `tool_use` ids were found without `tool_result` blocks "
                f"immediately after: {', '.join(missing)}. Each `tool_use` block must have a "
                "corresponding `tool_result` block in the next message."
            )
        asked = _asked(index, message)


def _asked(index: int, message: Message) -> list[str]:
    found = [block.id for block in message.content if isinstance(block, ToolUseBlock)]
    if len(set(found)) != len(found):
        raise InvalidRequest(f"messages.{index}: `tool_use` ids must be unique")
    return found


def _answered(index: int, message: Message, asked: list[str]) -> set[str]:
    answered: set[str] = set()
    headed = True
    for number, block in enumerate(message.content):
        if not isinstance(block, ToolResultBlock):
            headed = False
            continue
        if block.tool_use_id not in asked:
            raise InvalidRequest(
                f"messages.{index}.content.{number}: unexpected `tool_use_id` found in "
                f"`tool_result` blocks: {block.tool_use_id}. Each `tool_result` block must have "
                "a corresponding `tool_use` block in the previous message."
            )
        if block.tool_use_id in answered:
            raise InvalidRequest(
                f"messages.{index}.content.{number}: each tool_use must have a single result. "
                f"Found multiple `tool_result` blocks with id: {block.tool_use_id}"
            )
        # A result behind other content does not count as an answer.
        if headed:
            answered.add(block.tool_use_id)
    return answered


def _check_breakpoints(body: CountBody) -> None:
    marks = list(_breakpoints(body))
    if len(marks) > MAX_BREAKPOINTS:
        raise InvalidRequest(
            f"A maximum of {MAX_BREAKPOINTS} blocks with cache_control may be provided. "
            f"Found {len(marks)}."
        )
    lifetimes = [mark.ttl for mark in marks]
    if "5m" in lifetimes and "1h" in lifetimes[lifetimes.index("5m") :]:
        raise InvalidRequest(
            "cache_control: a ttl='1h' block must not come after a ttl='5m' block "
            "(in the order tools, system, messages)"
        )


def _breakpoints(body: CountBody) -> Iterator[CacheControl]:
    blocks: list[object] = [*body.tools, *body.system]
    for message in body.messages:
        blocks += message.content
    for block in blocks:
        mark = getattr(block, "cache_control", None)
        if mark is not None:
            yield mark
    if body.cache_control is not None:
        yield body.cache_control
