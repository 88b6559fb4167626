"""What counts as seen, so that nothing is changed unseen."""

from __future__ import annotations

from typing import Any

import pytest

from services.generation.model import Seen
from services.generation.peers import FileInfo
from services.generation.worker.knowledge import Knowledge


@pytest.fixture
def knowledge() -> Knowledge:
    """Of one file, whose content was seen."""
    journal: Any = None  # nothing is written here
    known = Knowledge("gen", journal)
    known.saw("a", "1")
    return known


def test_a_list_does_not_stand_for_content_that_was_seen_and_is_another_now(
    knowledge: Knowledge,
) -> None:
    knowledge.listed([FileInfo("a", 1, "2"), FileInfo("b", 1, "3")])
    assert knowledge.of("a") == Seen("1", shown=True)
    assert knowledge.of("b") == Seen("3", shown=False)


def test_an_answer_counts_as_seen_in_the_next_turn_only(knowledge: Knowledge) -> None:
    knowledge.told("a", "2")
    assert knowledge.of("a") == Seen("1", shown=True)


def test_a_command_s_changes_are_the_model_s_own(knowledge: Knowledge) -> None:
    before = [FileInfo("a", 1, "1"), FileInfo("gone", 1, "1")]
    knowledge.changed(before, [FileInfo("a", 1, "2"), FileInfo("new", 1, "3")])
    assert knowledge.of("a") == Seen("2", shown=False)
    assert knowledge.of("new") == Seen("3", shown=False)
    assert knowledge.of("gone") is None


def test_what_was_unseen_before_a_command_is_unseen_after_it(knowledge: Knowledge) -> None:
    before = [FileInfo("a", 1, "the user's"), FileInfo("b", 1, "the user's")]
    knowledge.changed(before, [FileInfo("a", 1, "3"), FileInfo("b", 1, "the user's")])
    assert knowledge.of("a") == Seen("1", shown=True)
    assert knowledge.of("b") is None
