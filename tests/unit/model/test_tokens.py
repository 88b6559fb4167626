"""The estimate of tokens is stable, and cutting by it is exact."""

from hypothesis import given
from hypothesis import strategies as st

from local.model import tokens


@given(st.text(), st.integers(1, 20))
def test_fragments_are_the_text_and_their_tokens_add_up(text: str, size: int) -> None:
    parts = list(tokens.fragments(text, size))
    assert "".join(part for part, _ in parts) == text
    assert sum(cost for _, cost in parts) == tokens.count(text)
    assert all(cost == size for _, cost in parts[:-1])


@given(st.text(min_size=1), st.integers(0, 50))
def test_a_cut_is_a_beginning_with_at_most_that_many_tokens(text: str, limit: int) -> None:
    head = tokens.cut(text, limit)
    assert text.startswith(head)
    assert tokens.count(head) == min(limit, tokens.count(text))


def test_a_block_counts_the_same_with_and_without_a_breakpoint() -> None:
    block = {"type": "text", "text": "three little words"}
    marked = block | {"cache_control": {"type": "ephemeral"}}
    assert tokens.count_block(block) == tokens.count_block(marked) == 3
