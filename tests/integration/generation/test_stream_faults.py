"""The model's stream breaks, lies or refuses: what comes out is a sound log and an ending that says what happened."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from tests.fixtures.generation import World
from tests.fixtures.history import kinds
from tests.fixtures.scripted_model import Answer, done, page, refused

CUTS = {
    "error event": lambda: Answer().half_write("index.html", "<p>half").error("overloaded_error"),
    "reset": lambda: Answer().half_write("index.html", "<p>half").reset(),
    "end without message_stop": lambda: Answer().text("Half a thou"),
    "an event that is no JSON": lambda: Answer().raw("event: message_delta\ndata: {broken\n\n"),
    "a delta of no block": lambda: Answer().raw(
        'event: content_block_delta\ndata: {"type":"content_block_delta","index":7,'
        '"delta":{"type":"text_delta","text":"x"}}\n\n'
    ),
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS.keys())
async def test_a_cut_turn_is_asked_again_with_the_same_prefix(
    world: World, cut: Callable[[], Answer]
) -> None:
    world.model.script = [cut(), page(), done()]
    person = await world.user()
    events = await person.checked(await person.start())
    restarted = [e.turn_restarted for e in events if e.WhichOneof("event") == "turn_restarted"]
    assert [(r.turn, r.reason) for r in restarted] == [(1, "stream cut")]
    assert kinds(events)[-1] == "succeeded"
    first, second = world.model.requests[:2]
    assert first == second
    assert events[-1].succeeded.usage.estimated


async def test_files_of_a_cut_turn_stay(world: World) -> None:
    world.model.script = [
        Answer().write("kept.html", "<p>kept").error("api_error"),
        page(),
        done(),
    ]
    person = await world.user()
    events = await person.checked(await person.start())
    assert kinds(events)[-1] == "succeeded"
    assert await person.paths() == ["index.html", "kept.html"]
    assert events[-1].succeeded.files_written == 2


async def test_cuts_beyond_the_budget_fail_the_generation(world: World) -> None:
    world.model.script = [Answer().text("x").error("overloaded_error") for _ in range(4)]
    person = await world.user()
    generation_id = await person.start()
    events = await person.checked(generation_id)
    assert kinds(events).count("turn_restarted") == 3
    assert events[-1].failed.failure.reason == "MODEL_UNAVAILABLE"
    assert (await person.get(generation_id)).failure.reason == "MODEL_UNAVAILABLE"
    assert len(world.model.requests) == 4


async def test_an_overloaded_model_is_asked_again_without_a_word_in_the_log(world: World) -> None:
    world.model.script = [refused(529, retry_after="0"), refused(429, retry_after_ms="20"), page()]
    person = await world.user()
    events = await person.checked(await person.start())
    assert kinds(events)[-1] == "succeeded"
    assert "turn_restarted" not in kinds(events)
    assert not events[-1].succeeded.usage.estimated


async def test_a_model_that_asks_for_a_long_pause_fails_the_generation(world: World) -> None:
    world.model.script = [refused(429, retry_after="86400")]
    person = await world.user()
    events = await person.checked(await person.start())
    assert "86400 seconds" in events[-1].failed.failure.message
    assert len(world.model.requests) == 1


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, "MODEL_REJECTED"),
        (401, "MODEL_CREDENTIALS"),
        (403, "MODEL_CREDENTIALS"),
        (404, "MODEL_NOT_FOUND"),
    ],
)
async def test_a_final_refusal_fails_at_once_and_tells_nothing_of_its_text(
    world: World, status: int, reason: str
) -> None:
    world.model.script = [refused(status)]
    person = await world.user()
    events = await person.checked(await person.start())
    failure = events[-1].failed.failure
    assert failure.reason == reason
    assert "secret" not in failure.message
    assert len(world.model.requests) == 1


@pytest.mark.parametrize(
    ("stop_reason", "reason"),
    [
        ("max_tokens", "MODEL_OUTPUT_LIMIT"),
        ("model_context_window_exceeded", "MODEL_OUTPUT_LIMIT"),
        ("refusal", "MODEL_REFUSED"),
        ("something_new", "MODEL_PROTOCOL"),
    ],
)
async def test_a_turn_that_stops_early_fails(world: World, stop_reason: str, reason: str) -> None:
    world.model.script = [
        Answer().call("write_file", '{"path": "index.html", "content": "<p>').stop(stop_reason)
    ]
    person = await world.user()
    events = await person.checked(await person.start())
    assert events[-1].failed.failure.reason == reason
    assert "file_written" not in kinds(events)
    assert await person.paths() == []


async def test_a_paused_turn_is_sent_again_as_it_is(world: World) -> None:
    world.model.script = [Answer().text("A moment.").stop("pause_turn"), page(), done()]
    person = await world.user()
    events = await person.checked(await person.start())
    assert kinds(events)[-1] == "succeeded"
    assert world.model.requests[1]["messages"][-1] == {
        "role": "assistant",
        "content": [{"type": "text", "text": "A moment."}],
    }


async def test_a_model_that_never_ends_reaches_the_turn_limit(world: World) -> None:
    await world.replicas[0].stop()
    world.replicas.clear()
    await world.replica(max_turns=3)
    world.model.otherwise = lambda _: page()
    person = await world.user()
    events = await person.checked(await person.start())
    assert events[-1].failed.failure.reason == "TURN_LIMIT"
    assert len(world.model.requests) == 3


BAD_CALLS = {
    "cut JSON": ("write_file", '{"path": "a.html", "content": "x', "not valid JSON"),
    "no object": ("write_file", '["a"]', "not valid JSON"),
    "half a surrogate": ("write_file", '{"path": "a", "content": "\\ud83d"}', "not valid JSON"),
    "path that leads out": ("write_file", '{"path": "../a", "content": ""}', "path"),
    "absolute path": ("delete_file", '{"path": "/etc/passwd"}', "path"),
    "path that is no text": ("write_file", '{"path": 7, "content": ""}', "path: must be a string"),
    "no content": ("write_file", '{"path": "a"}', "content: must be a string"),
    "no such tool": ("launch", '{"command": "ls"}', "There is no tool"),
}


@pytest.mark.parametrize(("tool", "given", "told"), BAD_CALLS.values(), ids=BAD_CALLS.keys())
async def test_a_bad_call_is_answered_to_the_model_and_writes_nothing(
    world: World, tool: str, given: str, told: str
) -> None:
    world.model.script = [Answer().call(tool, given).stop("tool_use"), page(), done()]
    person = await world.user()
    events = await person.checked(await person.start())
    assert kinds(events)[-1] == "succeeded"
    assert await person.paths() == ["index.html"]
    (result,) = world.model.requests[1]["messages"][-1]["content"]
    assert result["is_error"] is True
    assert told in result["content"]
    assert [path for path, _ in world.sandboxes.writes] == ["index.html"]


async def test_a_path_that_the_store_refuses_is_answered_to_the_model(world: World) -> None:
    world.model.script = [
        Answer().write("a", "file").write("a/b", "file below a file").stop("tool_use"),
        done(),
    ]
    person = await world.user()
    events = await person.checked(await person.start())
    assert kinds(events)[-1] == "succeeded"
    results = world.model.requests[1]["messages"][-1]["content"]
    assert [result.get("is_error", False) for result in results].count(True) == 1


async def test_the_transcript_goes_back_verbatim(world: World) -> None:
    world.model.script = [
        Answer()
        .thinking("Let me think.", "c2lnbmVk")
        .text("On it.")
        .write("index.html", "<p>ü")
        .stop("tool_use"),
        done(),
    ]
    person = await world.user()
    await person.checked(await person.start("Build it"))
    body = world.model.requests[1]
    asked, answered, results = body["messages"]
    assert asked == {"role": "user", "content": [{"type": "text", "text": "Build it"}]}
    thought, text, call = answered["content"]
    assert thought == {"type": "thinking", "thinking": "Let me think.", "signature": "c2lnbmVk"}
    assert text == {"type": "text", "text": "On it."}
    assert call["input"] == {"path": "index.html", "content": "<p>ü"}
    assert results["content"][0]["tool_use_id"] == call["id"]
    for field in ("system", "tools", "model"):
        assert body[field] == world.model.requests[0][field]
    assert body["system"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    for refused_now in ("temperature", "top_p", "top_k", "tool_choice", "thinking"):
        assert refused_now not in body


async def test_several_writes_of_one_path_keep_their_order(world: World) -> None:
    answer = Answer()
    for number in range(8):
        answer.write("index.html", f"<p>{number}")
    world.model.script = [answer.stop("tool_use"), done()]
    person = await world.user()
    await person.checked(await person.start())
    assert await person.read("index.html") == b"<p>7"


async def test_calls_that_share_an_id_are_all_carried_out(world: World) -> None:
    """Not every endpoint that speaks the protocol gives each call an id of its own."""
    world.model.script = [
        Answer()
        .call("write_file", json.dumps({"path": "a.html", "content": "1"}), call_id="call_0")
        .stop("tool_use"),
        Answer()
        .call("write_file", json.dumps({"path": "a.html", "content": "2"}), call_id="call_0")
        .stop("tool_use"),
        done(),
    ]
    person = await world.user()
    await person.checked(await person.start())
    assert await person.read("a.html") == b"2"


async def test_a_file_can_be_deleted(world: World) -> None:
    world.model.script = [
        Answer().write("old.html", "x").write("index.html", "y").stop("tool_use"),
        Answer().call("delete_file", '{"path": "old.html"}').stop("tool_use"),
        done(),
    ]
    person = await world.user()
    events = await person.checked(await person.start())
    assert "file_deleted" in kinds(events)
    assert await person.paths() == ["index.html"]


async def test_a_silent_model_counts_as_cut(world: World) -> None:
    await world.replicas[0].stop()
    world.replicas.clear()
    await world.replica(model_read_timeout_seconds=0.3)
    world.model.script = [Answer().text("Hm").wait(asyncio.Event()), page(), done()]
    person = await world.user()
    events = await person.checked(await person.start())
    assert kinds(events)[-1] == "succeeded"
    assert "turn_restarted" in kinds(events)


async def test_what_cut_attempts_have_used_is_not_granted_again(world: World) -> None:
    world.model.script = [Answer().text("x" * 12_000).error("overloaded_error"), page(), done()]
    person = await world.user()
    await person.checked(await person.start(max_cost_usd=0.1))
    first, second = world.model.requests[:2]
    assert second["max_tokens"] <= first["max_tokens"] - 4_000


async def test_cut_attempts_that_use_up_the_limit_end_in_it(world: World) -> None:
    world.model.script = [
        Answer().text("x" * 12_000).error("overloaded_error"),
        Answer().text("x" * 12_000).error("overloaded_error"),
    ]
    person = await world.user()
    events = await person.checked(await person.start(max_cost_usd=0.05))
    assert events[-1].failed.failure.reason == "COST_LIMIT"
    assert len(world.model.requests) <= 2
