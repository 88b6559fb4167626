"""Each rule of the API, broken once: the answer is 400 and says where."""

from typing import Any

import orjson
import pytest

from local.model import parse, signatures
from local.model.errors import InvalidRequest

TOOL = {"name": "write_file", "input_schema": {"type": "object"}}
USER = {"role": "user", "content": "hello"}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "write_file", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "ok"}
NEW, OLD = "2026-10-21", "2023-06-01"


def request(**fields: Any) -> bytes:
    base = {"model": "claude-sonnet-5-5", "max_tokens": 100, "messages": [USER]}
    return orjson.dumps({key: value for key, value in (base | fields).items() if value is not ...})


def talk(*messages: dict[str, Any]) -> dict[str, Any]:
    return {"tools": [TOOL], "messages": [USER, *messages]}


def assistant(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def user(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


TEXT = {"type": "text", "text": "hi"}
MARKED = TEXT | {"cache_control": {"type": "ephemeral"}}
MARKED_HOUR = TEXT | {"cache_control": {"type": "ephemeral", "ttl": "1h"}}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model": ...}, "model: Field required"),
        ({"max_tokens": ...}, "max_tokens: Field required"),
        ({"max_tokens": "7"}, "max_tokens: Input should be a valid integer"),
        ({"max_tokens": -1}, "max_tokens: Input should be greater than or equal to 0"),
        ({"max_tokens": 128_001}, "max_tokens: 128001 > 128000"),
        ({"messages": []}, "messages: List should have at least 1 item"),
        ({"messages": "hi"}, "messages: Input should be a valid list"),
        ({"unknown": 1}, "unknown: Extra inputs are not permitted"),
        ({"temperature": 1}, "temperature: `temperature` is not supported"),
        ({"top_p": 0.5}, "top_p: `top_p` is not supported"),
        ({"top_k": 5}, "top_k: `top_k` is not supported"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, 'thinking.type: "enabled"'),
        ({"thinking": {"type": "disabled"}}, 'thinking.type: "disabled"'),
        ({"tools": [TOOL], "tool_choice": {"type": "any"}}, 'tool_choice.type: "any"'),
        (
            {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "x"}},
            'tool_choice.type: "tool"',
        ),
        ({"tool_choice": {"type": "auto"}}, "may only be specified while providing `tools`"),
        ({"tools": [TOOL, TOOL]}, "Tool names must be unique"),
        ({"tools": [{"name": "x"}]}, "tools.0.custom.input_schema: Field required"),
        ({"tools": [{"name": "a b", "input_schema": {}}]}, "tools.0.name: String should match"),
        ({"tools": [{"name": "x", "input_schema": {"type": "array"}}]}, "should be 'object'"),
        (
            {
                "tools": [
                    {"name": "e", "type": "text_editor_20250728", "eager_input_streaming": True}
                ]
            },
            "eager_input_streaming: Extra inputs are not permitted",
        ),
        (
            {"messages": [{"role": "robot", "content": "x"}]},
            "messages.0.role: Input should be 'user'",
        ),
        (
            {"messages": [{"role": "user", "content": ""}]},
            "messages.0: all messages must have non-empty",
        ),
        (
            {"messages": [user({"type": "text", "text": ""})]},
            "text content blocks must be non-empty",
        ),
        ({"messages": [user({"type": "poem"})]}, "messages.0.content.0: Input tag 'poem'"),
        ({"messages": [user({"type": "text"})]}, "messages.0.content.0.text.text: Field required"),
        ({"messages": [assistant(TEXT), USER]}, 'first message must use the "user" role'),
        ({"messages": [USER, assistant(TEXT)]}, "does not support assistant message prefill"),
        ({"messages": [USER, assistant(CALL), user(RESULT)]}, "must define tools"),
        (
            talk(assistant(CALL), USER),
            "messages.1: `tool_use` ids were found without `tool_result`",
        ),
        (
            talk(assistant(CALL), user(TEXT, RESULT)),
            "without `tool_result` blocks immediately after",
        ),
        (talk(user(RESULT)), "messages.1.content.0: unexpected `tool_use_id`"),
        (talk(assistant(CALL), user(RESULT, RESULT)), "each tool_use must have a single result"),
        (talk(assistant(CALL, CALL), user(RESULT)), "`tool_use` ids must be unique"),
        (
            {"messages": [user(CALL)], "tools": [TOOL]},
            "`tool_use` blocks can not be in user messages",
        ),
        ({"messages": [user(*[MARKED] * 5)]}, "A maximum of 4 blocks with cache_control"),
        ({"messages": [user(MARKED, MARKED_HOUR)]}, "must not come after a ttl='5m' block"),
        ({"metadata": {"user_id": "x" * 257}}, "metadata.user_id: String should have at most 256"),
    ],
)
def test_a_broken_rule_is_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse.messages_body(request(**fields), NEW)
    assert message in caught.value.message


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b'{"a": NaN}', b"\xff"])
def test_what_is_no_json_object_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"request body"):
        parse.messages_body(raw, NEW)


def test_an_older_version_still_takes_the_sampling_parameters() -> None:
    assert parse.messages_body(request(temperature=0.5, top_k=3), OLD).top_k == 3


def test_a_thought_must_come_back_as_it_was_after_the_same_prefix() -> None:
    before = parse.messages_body(request(system="be brief"), NEW)
    signature = signatures.verify(before).sign("hm")
    thought = {"type": "thinking", "thinking": "hm", "signature": signature}

    def again(system: str, **changes: str) -> bytes:
        messages = [USER, assistant(thought | changes, TEXT), USER]
        return request(system=system, messages=messages)

    signatures.verify(parse.messages_body(again("be brief"), NEW))
    for other in (
        again("be long"),
        again("be brief", thinking="hmm"),
        again("be brief", signature="x"),
    ):
        with pytest.raises(InvalidRequest, match=r"messages\.1\.content\.0: Invalid `signature`"):
            signatures.verify(parse.messages_body(other, NEW))


def test_moving_a_breakpoint_does_not_break_a_signature() -> None:
    plain = parse.messages_body(request(messages=[user(TEXT)]), NEW)
    marked = parse.messages_body(request(messages=[user(MARKED)]), NEW)
    assert signatures.verify(plain).sign("hm") == signatures.verify(marked).sign("hm")
