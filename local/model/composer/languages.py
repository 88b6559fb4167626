"""The language of a site: asked for, or the one that the prompt is written in."""

import re
from functools import cache

from local.model.composer import lexicon

ENGLISH = "en"


@cache
def all_of_them() -> tuple[str, ...]:
    """Every language that there are words in."""
    return tuple(lexicon.table("chrome"))


def words(lang: str) -> dict[str, object]:
    """What stands around the content in `lang`."""
    found: dict[str, object] = lexicon.table("chrome")[lang]
    return found


def country(lang: str) -> str:
    """The country that lends prices and addresses where no place is named; nothing for a language of many."""
    return str(lexicon.table("languages")[lang]["country"])


def asked(text: str) -> str:
    """The language that `text` asks for, or nothing."""
    return next((lang for lang in all_of_them() if _asked(lang).search(text)), "")


def without(text: str) -> str:
    """`text` without the words that ask for a language."""
    for lang in all_of_them():
        text = _asked(lang).sub(" ", text)
    return text


def find(text: str) -> str:
    """The language of the site that `text` asks for; English where nothing tells another."""
    return asked(text) or max(all_of_them(), key=lambda lang: _score(lang, text))


def scheme(text: str) -> str:
    """`dark` or `light` where a word of any language says so, or nothing."""
    for name in ("dark", "light"):
        found = (
            word
            for lang in all_of_them()
            if lang != ENGLISH
            for word in lexicon.table("languages")[lang][name]
        )
        if re.search(rf"(?<!\w)(?:{'|'.join(found)})(?!\w)", text, re.IGNORECASE):
            return name
    return ""


def _score(lang: str, text: str) -> float:
    said = re.findall(r"\w+", text.lower())
    entry = lexicon.table("languages")[lang]
    own = sum(word in entry["words"] for word in said)
    # A shared word alone tells nothing.
    return own + 0.5 * sum(word in entry["shared"] for word in said) if own else 0


@cache
def _asked(lang: str) -> re.Pattern[str]:
    patterns = lexicon.table("languages")[lang]["asked"]
    return re.compile(rf"(?<!\w)(?:{'|'.join(patterns)})(?!\w)", re.IGNORECASE)
