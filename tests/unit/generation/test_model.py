"""States and what follows which."""

from __future__ import annotations

from services.generation.convert import TERMINAL, event_entry
from services.generation.model import (
    ENDED,
    NEXT,
    Cancelled,
    Failed,
    Failure,
    FileDelta,
    Queued,
    Sandbox,
    Started,
    Status,
    Succeeded,
    TextDelta,
    TurnRestarted,
    Usage,
    UsageReport,
    sources,
    status_after,
)
from services.generation.worker.journal import _merged


def test_nothing_comes_after_an_end() -> None:
    assert set(ENDED) == {Status.SUCCEEDED, Status.FAILED, Status.CANCELLED}
    assert all(status not in NEXT for status in ENDED)


def test_a_waiting_generation_can_fail_or_be_cancelled_but_not_succeed() -> None:
    assert sources(Status.SUCCEEDED) == (Status.RUNNING,)
    assert sources(Status.FAILED) == (Status.QUEUED, Status.RUNNING)
    assert sources(Status.QUEUED) == ()


def test_events_are_named_as_on_the_wire() -> None:
    usage, sandbox = Usage(), Sandbox("s", "u", "p")
    named = {
        event_entry(event)[0]: event
        for event in (
            Queued(0),
            Started(sandbox, "m"),
            TextDelta("x"),
            TurnRestarted(1, "x"),
            UsageReport(usage),
            Succeeded(1, usage, sandbox, 1),
            Failed(Failure("R", "m"), usage, 0),
            Cancelled(0, usage),
        )
    }
    assert list(named) == [
        "queued",
        "started",
        "text_delta",
        "turn_restarted",
        "usage",
        "succeeded",
        "failed",
        "cancelled",
    ]
    for name in TERMINAL:
        assert str(status_after(named[name])) == name  # type: ignore[arg-type] # the three are ends


def test_deltas_that_follow_each_other_are_merged_and_others_are_not() -> None:
    assert _merged(TextDelta("a"), TextDelta("b")) == TextDelta("ab")
    assert _merged(FileDelta("f", "ab", 3), FileDelta("f", "c", 5)) == FileDelta("f", "abc", 3)
    assert _merged(FileDelta("f", "ab", 3), FileDelta("f", "c", 0)) is None
    assert _merged(FileDelta("f", "ab", 3), FileDelta("g", "c", 5)) is None
    assert _merged(TextDelta("a"), FileDelta("f", "b", 0)) is None
    assert _merged(TextDelta("a" * 20_000), TextDelta("b")) is None
