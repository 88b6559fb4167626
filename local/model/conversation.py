"""From a valid body to the conversation that the composer reads."""

from itertools import groupby

from local.model import wire
from local.model.model import (
    Attachment,
    Conversation,
    InputBlock,
    Text,
    Thinking,
    Tool,
    ToolResult,
    ToolUse,
    Turn,
)


def conversation(body: wire.CountBody) -> Conversation:
    """The conversation of `body`; consecutive messages of a role become one turn."""
    choice = body.tool_choice
    offered = body.tools if choice is None or choice.type != "none" else []
    return Conversation(
        turns=tuple(
            Turn(role, tuple(_block(block) for message in messages for block in message.content))
            for role, messages in groupby(body.messages, key=lambda message: message.role)
        ),
        tools=tuple(
            Tool(tool.name, bool(tool.eager_input_streaming), tool.input_schema or {})
            for tool in offered
        ),
        system="\n".join(block.text for block in body.system),
        parallel_tools=choice is None or not choice.disable_parallel_tool_use,
        thinks=body.thinking is None or body.thinking.type == "adaptive",
    )


def _block(block: wire.ContentBlock) -> InputBlock:
    match block:
        case wire.TextBlock():
            return Text(block.text)
        case wire.ThinkingBlock():
            return Thinking(block.thinking, block.signature)
        case wire.ToolUseBlock():
            return ToolUse(block.name, block.input, block.id)
        case wire.ToolResultBlock():
            text = "\n".join(
                part.text for part in block.content if isinstance(part, wire.TextBlock)
            )
            return ToolResult(block.tool_use_id, text, block.is_error)
        case _:
            return Attachment(block.type)
