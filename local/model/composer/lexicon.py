"""The words that sites are made of, read once from `lexicon/*.toml`."""

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent / "lexicon"
ANY = "any"
# Words that name a trade only when nothing more telling is said.
_GENERIC = re.compile(
    "studio|shop|store|app|service|bar|school|club|agency|platform|product|market|clinic|garage|hair|"
    "ai|repair|dance|software|tax|community|farm|library|inn|api|singer|gift|books"
)


@cache
def table(name: str) -> dict[str, Any]:
    """One file of the lexicon, such as `trades`."""
    with (ROOT / f"{name}.toml").open("rb") as file:
        return tomllib.load(file)


@cache
def kinds() -> tuple[tuple[str, str, re.Pattern[str]], ...]:
    """Kind, topic and the words that tell them, in the order in which they are tried."""
    return tuple(
        (
            entry["kind"],
            entry.get("topic", ""),
            re.compile(rf"(?<!\w)(?:{'|'.join(entry['any'])})(?!\w)", re.IGNORECASE),
        )
        for entry in table("kinds")["words"]
    )


def find_trade(text: str) -> str:
    """The trade that `text` speaks of, or nothing."""
    return find_in("trades", text)


def find_in(name: str, text: str) -> str:
    """The entry of a table whose `words` are in `text`: the first telling word decides."""
    return _first(name, text)[0]


def find_noun(name: str, text: str) -> str:
    """That word itself where it can stand for the thing (`nouns` of the entry), or nothing."""
    entry, word = _first(name, text)
    return word if entry and word in table(name)[entry].get("nouns", ()) else ""


def _first(name: str, text: str) -> tuple[str, str]:
    found = [
        (_GENERIC.fullmatch(word) is not None, match.start(), -len(word), key, word)
        for key, entry in table(name).items()
        for word in entry["words"]
        if (match := _word(word).search(text)) is not None
    ]
    return min(found)[3:] if found else ("", "")


def find_place(text: str) -> tuple[str, str]:
    """The known place in `text` and its country, or two empty strings."""
    found = [
        (match.start(), -len(place), place, country)
        for country, entry in table("places").items()
        for place in (*entry["cities"], *entry["names"])
        if (match := _place(place).search(text)) is not None
    ]
    if not found:
        return "", ""
    _, _, place, country = min(found)
    return place, country


@cache
def _word(word: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(word)}(?:e?s)?(?!\w)", re.IGNORECASE)


@cache
def _place(place: str) -> re.Pattern[str]:
    # A lower-case "nice", "bath" or "nara" is seldom a town: only after "in" does the case not matter.
    name = re.escape(place)
    return re.compile(rf"(?<!\w){name}(?!\w)|(?<=\bin ){re.escape(place.lower())}(?!\w)")
