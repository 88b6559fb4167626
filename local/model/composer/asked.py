"""The pages and sections that a prompt asks for by name."""

import re
from functools import cache

from local.model.composer import lexicon

MOST_PAGES = 8
_PAGE = re.compile(r"\b(?:web)?(?:pages?|seiten?|páginas?)\b", re.IGNORECASE)
_LEAD = re.compile(
    r"^.*\b(?:with|add|plus|including|include|has|have|having|mit|con|com)\b", re.IGNORECASE
)
_LISTED = re.compile(r"^\s*(?:[:(–—-]|of\b|de\b|für\b|are\b)\s*([^.;\n)]*)", re.IGNORECASE)


def find(text: str) -> tuple[str, ...]:
    """The pages that `text` asks for: "with about and contact pages", "three pages: home, menu, contact"."""
    found: dict[str, None] = {}
    start = 0
    for match in _PAGE.finditer(text):
        before = re.split(r"[.;:!?]", text[start : match.start()])[-1]
        lead = _LEAD.search(before)
        before = before[lead.end() :] if lead else " ".join(before.split()[-2:])
        listed = _LISTED.match(text[match.end() :])
        for part in (before, listed[1] if listed else ""):
            found |= dict.fromkeys(named(part))
        start = match.end()
    # A compound word says it without "page".
    if re.search(r"\bkontaktseite\b", text, re.IGNORECASE):
        found["contact"] = None
    return tuple(found)[:MOST_PAGES]


def named(text: str) -> list[str]:
    """The pages whose names are in `text`, in its order."""
    return [_names()[match.group(0).lower()] for match in _words().finditer(text)]


@cache
def _names() -> dict[str, str]:
    return {word: key for key, entry in lexicon.table("pages").items() for word in entry["words"]}


@cache
def _words() -> re.Pattern[str]:
    longest_first = sorted(_names(), key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)", re.IGNORECASE)
