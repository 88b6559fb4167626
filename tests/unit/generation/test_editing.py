"""Edits fit where they are meant, or say what would: never by guessing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.generation.agent.tools.editing import EditError, Insertion, Replacement, edited

LINES = st.lists(st.text(alphabet="ab <>\t", max_size=8), max_size=12)
PAGE = "<body>\n  <main>\n    <h1>Hello</h1>\n    <p>Old</p>\n  </main>\n</body>\n"


def refusal(text: str, edit: Replacement | Insertion) -> str:
    with pytest.raises(EditError) as found:
        edited(text, edit)
    return str(found.value)


def test_what_is_there_once_is_replaced_and_nothing_else() -> None:
    done = edited(PAGE, Replacement("Hello", "Olá"))
    assert done.text == PAGE.replace("Hello", "Olá")
    assert (done.line, done.count) == (3, 1)


def test_other_indentation_is_forgiven_and_the_file_s_own_is_kept() -> None:
    done = edited(PAGE, Replacement("<h1>Hello</h1>\n<p>Old</p>", "<h1>Hi</h1>\n<p>\n  New\n</p>"))
    assert done.text == (
        "<body>\n  <main>\n    <h1>Hi</h1>\n    <p>\n      New\n    </p>\n  </main>\n</body>\n"
    )


def test_white_space_at_line_ends_and_blank_lines_around_are_forgiven() -> None:
    done = edited("a\nb  \nc\n", Replacement("\nb\nc \n", "x"))
    assert done.text == "a\nx\n"


def test_lines_are_removed_by_an_empty_replacement() -> None:
    assert edited("a\n  b\nc\n", Replacement("b \n", "")).text == "a\nc\n"


def test_a_text_that_is_there_twice_is_refused_with_its_places() -> None:
    assert "2 times, beginning in lines 1, 3" in refusal("x\ny\nx\n", Replacement("x", "z"))
    assert "2 times, beginning in lines 2, 4" in refusal(
        "a\n p \nb\n\tp\n", Replacement("p\t", "z")
    )


def test_a_text_that_is_everywhere_is_not_counted_to_the_end() -> None:
    said = refusal("a" * 100_000, Replacement("a" * 1_000, "b"))
    assert "at least 1000 times, beginning in lines 1, 1" in said


def test_places_that_overlap_are_more_than_one() -> None:
    assert "2 times" in refusal("aaa", Replacement("aa", "b"))


def test_a_miss_shows_the_nearest_lines_with_their_numbers() -> None:
    said = refusal(PAGE, Replacement("<h1>Helo!</h1>", "x"))
    assert "is not in the file" in said
    assert "3\t    <h1>Hello</h1>" in said


def test_a_miss_says_where_the_new_text_is_already() -> None:
    assert "there already, in line 3" in refusal(PAGE, Replacement("<h1>Bye</h1>", "Hello"))


def test_windows_line_ends_stay_and_need_not_be_named() -> None:
    done = edited("a\r\nb\r\nc\r\n", Replacement("a\nb", "x\ny\nz"))
    assert done.text == "x\r\ny\r\nz\r\nc\r\n"


def test_text_is_inserted_behind_a_line_as_lines_of_its_own() -> None:
    assert edited("a\nb\n", Insertion(0, "x")).text == "x\na\nb\n"
    assert edited("a\nb\n", Insertion(1, "x\ny\n")).text == "a\nx\ny\nb\n"
    assert edited("a\nb", Insertion(2, "x")).text == "a\nb\nx"
    assert edited("", Insertion(0, "x")).text == "x\n"
    assert "the file has 2 lines" in refusal("a\nb\n", Insertion(3, "x"))


@given(before=LINES, old=LINES, after=LINES, new=LINES)
def test_an_edit_changes_one_place_or_nothing(
    before: list[str], old: list[str], after: list[str], new: list[str]
) -> None:
    text = "\n".join([*before, *old, *after])
    wanted, put = "\n".join(old), "\n".join(new)
    if not wanted:
        return
    try:
        done = edited(text, Replacement(wanted, put))
    except EditError:
        # Places that overlap count each.
        assert sum(text.startswith(wanted, at) for at in range(len(text))) > 1
        return
    assert done.text == text.replace(wanted, put)


@given(lines=LINES, indent=st.integers(0, 6), cut=st.integers(0, 12))
def test_forgiving_changes_white_space_only_within_the_place(
    lines: list[str], indent: int, cut: int
) -> None:
    text = "".join(f"{' ' * indent}{line.strip()}\n" for line in lines)
    old = "\n".join(line.strip() for line in lines[:cut])
    try:
        done = edited(text, Replacement(old, "new")) if old else None
    except EditError:
        return
    if done:
        assert done.text.count("new") == 1
        assert len(done.text.splitlines()) <= len(text.splitlines()) + 1


@given(lines=LINES, at=st.integers(0, 12), text=st.text(alphabet="xy\n", min_size=1, max_size=6))
def test_an_insertion_takes_nothing_away(lines: list[str], at: int, text: str) -> None:
    before = "".join(f"{line}\n" for line in lines)
    if at > len(lines):
        return
    done = edited(before, Insertion(at, text)).text.split("\n")
    whole = before.split("\n")
    assert done[:at] == whole[:at]
    assert done[len(done) - (len(whole) - at) :] == whole[at:]
