"""Small changes go through the editor, and edits by hand survive them."""

from hypothesis import given, settings
from hypothesis import strategies as st

from local.model.agent import edits

LINES = st.lists(st.sampled_from(["a\n", "b\n", "\n", "  c\n", "dd\n"]), max_size=30).map("".join)


@settings(deadline=None)
@given(LINES, LINES)
def test_replacements_lead_from_one_text_to_the_other_or_are_none(before: str, after: str) -> None:
    text = before
    for old, new in edits.replacements(before, after):
        assert text.count(old) == 1
        text = text.replace(old, new)
    assert text == after or not edits.replacements(before, after)


def test_one_changed_line_is_one_small_replacement() -> None:
    before = "".join(f"line {n}\n" for n in range(100))
    after = before.replace("line 50\n", "line fifty\n")
    assert edits.replacements(before, after) == (
        ("line 49\nline 50\nline 51\n", "line 49\nline fifty\nline 51\n"),
    )


def test_an_edit_elsewhere_survives_and_one_at_the_same_place_does_not() -> None:
    before = "".join(f"line {n}\n" for n in range(100))
    after = before.replace("line 50\n", "line fifty\n")
    assert edits.merge(before, after, before.replace("line 3\n", "mine\n")) == after.replace(
        "line 3\n", "mine\n"
    )
    assert edits.merge(before, after, before.replace("line 51\n", "mine\n")) is None
