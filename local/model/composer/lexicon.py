"""The words that sites are made of, read once from `lexicon/*.toml`."""

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent / "lexicon"
ANY = "any"
# Languages other than English in which trades have names and words.
TRADE_LANGUAGES = ("es", "de", "pt")
# Words that name a trade only when nothing more telling is said.
_GENERIC = re.compile(
    "studio|shop|store|app|service|bar|school|club|agency|platform|product|market|clinic|garage|hair|"
    "ai|repair|dance|software|tax|community|farm|library|inn|api|singer|gift|books|tienda|loja|laden|geschäft|programa|"
    "aplicación|aplicação|anwendung|asociación|associação|verein"
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
    """The entry and its word: the first that tells something, else the first generic one."""
    generic = ("", "")
    for match in _words(name).finditer(text.lower()):
        word = match.group(1)
        if not _GENERIC.fullmatch(word):
            return _entry(name)[word], word
        if not generic[0]:
            generic = _entry(name)[word], word
    return generic


@cache
def _entry(name: str) -> dict[str, str]:
    """The entry that each word stands for; where two share a word, the earlier one's it is."""
    found: dict[str, str] = {}
    for key, entry in table(name).items():
        for word in entry["words"]:
            found.setdefault(word, key)
    for lang in TRADE_LANGUAGES if name == "trades" else ():
        for key, words in table(f"trades_{lang}")["labels"].items():
            for word in words:
                found.setdefault(word.lower(), key)
    return found


@cache
def _words(name: str) -> re.Pattern[str]:
    longest_first = sorted(_entry(name), key=len, reverse=True)
    return re.compile(rf"(?<!\w)({'|'.join(map(re.escape, longest_first))})(?:e?s)?(?!\w)")


def find_place(text: str) -> tuple[str, str]:
    """The known place in `text` as it is written there, and its country; or two empty strings."""
    match = _places().search(text)
    return (match.group(0), _countries()[match.group(0).lower()]) if match else ("", "")


@cache
def _countries() -> dict[str, str]:
    return {
        place.lower(): country
        for country, entry in table("places").items()
        for place in (*entry["cities"], *entry["names"])
    }


@cache
def _places() -> re.Pattern[str]:
    # A lower-case "nice", "bath" or "nara" is seldom a town: only after "in" does the case not matter.
    names = sorted(
        (p for entry in table("places").values() for p in (*entry["cities"], *entry["names"])),
        key=len,
        reverse=True,
    )
    written = "|".join(map(re.escape, names))
    return re.compile(rf"(?<!\w)(?:(?:{written})|(?<=\bin )(?i:{written}))(?!\w)")
