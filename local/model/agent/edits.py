"""Small changes to a text: as replacements of passages that occur once, and onto a text that has moved on."""

from difflib import SequenceMatcher
from functools import lru_cache

# Lines around a change, tried in turn until every passage occurs once.
_CONTEXTS = (1, 3, 8)
# Above this share of the text, writing it whole is the smaller change.
_LARGEST_SHARE = 0.4


@lru_cache(maxsize=512)
def replacements(before: str, after: str) -> tuple[tuple[str, str], ...]:
    """Passages of `before` and what takes their place, to be made in order; none when too much differs."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    for context in _CONTEXTS:
        made = tuple(
            ("".join(old[group[0][1] : group[-1][2]]), "".join(new[group[0][3] : group[-1][4]]))
            for group in matcher.get_grouped_opcodes(context)
        )
        if sum(len(one) + len(other) for one, other in made) > 2 * _LARGEST_SHARE * len(after):
            return ()
        if _apply(before, made) == after:
            return made
    return ()


def merge(before: str, after: str, actual: str) -> str | None:
    """`actual`, which began as `before`, with the changes that lead to `after`; None when they meet its own."""
    if actual == before:
        return after
    made = replacements(before, after)
    return _apply(actual, made) if made else None


def _apply(text: str, made: tuple[tuple[str, str], ...]) -> str | None:
    for old, new in made:
        if not old or text.count(old) != 1:
            return None
        text = text.replace(old, new)
    return text
