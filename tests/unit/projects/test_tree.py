"""The tree of a project's files under any steps: compared with a plain dictionary that is told the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.errors import FailedPrecondition, Invalid, NotFound
from services.projects.model import (
    Content,
    DeleteStep,
    FileEntry,
    Operation,
    Put,
    PutStep,
    RenameStep,
)
from services.projects.service.tree import Tree

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


def _put(path: str, sha256: str, size: int = 1, expected: str | None = None) -> Put:
    return Put(PutStep(path, expected), Content(sha256, size))


def _tree(**files: str) -> Tree:
    return Tree(FileEntry(path, Content(sha256, 1), NOW) for path, sha256 in files.items())


PATHS = st.lists(st.sampled_from("ab"), min_size=1, max_size=3).map("/".join)
OPERATIONS = st.one_of(
    st.builds(_put, PATHS, st.sampled_from("xyz"), st.integers(0, 9)),
    st.builds(DeleteStep, PATHS, st.none()),
    st.builds(RenameStep, PATHS, PATHS, st.none()),
)


def _expect(files: dict[str, Content], operation: Operation) -> dict[str, Content] | None:
    """What the files should be afterwards; ``None`` where the step should be refused."""
    files = dict(files)
    match operation:
        case Put(step, content):
            files[step.path] = content
        case DeleteStep(path):
            files.pop(path, None)
        case RenameStep(from_path, to_path):
            if from_path not in files:
                return None
            files[to_path] = files.pop(from_path)
    blocked = any(inner.startswith(f"{path}/") for path in files for inner in files)
    return None if blocked else files


@given(st.lists(OPERATIONS, max_size=30))
def test_any_steps_leave_what_a_dictionary_would_hold(operations: list[Operation]) -> None:
    expected: dict[str, Content] = {}
    tree = Tree([])
    for operation in operations:
        after = _expect(expected, operation)
        if after is None:
            with pytest.raises((Invalid, NotFound)):
                tree.apply(operation, NOW)
            # A refused step ends the write; the next one begins with the files as they were.
            tree = Tree(FileEntry(path, content, NOW) for path, content in expected.items())
            continue
        tree.apply(operation, NOW)
        expected = after
    assert tree.file_count == len(expected)
    assert tree.size_bytes == sum(content.size_bytes for content in expected.values())


@given(st.lists(OPERATIONS, max_size=10))
def test_what_is_gone_and_what_is_written_lead_from_before_to_after(
    operations: list[Operation],
) -> None:
    before = {"a": Content("x", 1), "b/a": Content("y", 2)}
    tree = Tree(FileEntry(path, content, NOW) for path, content in before.items())
    expected = dict(before)
    for operation in operations:
        after = _expect(expected, operation)
        if after is None:
            return
        tree.apply(operation, LATER)
        expected = after
    found = {path: content for path, content in before.items() if path not in tree.gone()}
    found |= {entry.path: entry.content for entry in tree.written()}
    assert found == expected
    result = tree.result()
    assert not {entry.path for entry in result.files} & set(result.deleted_paths)


def test_the_same_content_keeps_its_time() -> None:
    tree = _tree(a="x")
    tree.apply(_put("a", "x"), LATER)
    assert tree.written() == []
    assert tree.result().files[0].updated_at == NOW
    tree.apply(_put("a", "y"), LATER)
    assert tree.result().files[0].updated_at == LATER


def test_what_was_expected_is_checked_against_the_steps_before() -> None:
    tree = _tree(a="x")
    tree.apply(_put("a", "y", expected="x"), LATER)
    tree.apply(_put("a", "z", expected="y"), LATER)
    with pytest.raises(FailedPrecondition) as caught:
        tree.apply(_put("a", "w", expected="x"), LATER)
    assert caught.value.metadata == {"path": "a", "sha256": "z"}


def test_deleting_what_is_not_there_is_no_error_whatever_was_expected() -> None:
    tree = _tree(a="x")
    tree.apply(DeleteStep("b", "x"), LATER)
    assert tree.result().deleted_paths == ("b",)
    assert tree.gone() == []


def test_a_rename_to_its_own_name_changes_nothing() -> None:
    tree = _tree(a="x")
    tree.apply(RenameStep("a", "a", None), LATER)
    assert (tree.gone(), tree.written()) == ([], [])
    assert tree.result().files == (FileEntry("a", Content("x", 1), NOW),)
