"""Small things that are done to words."""

import re
import unicodedata


def slug(text: str, fallback: str = "site") -> str:
    """`text` in lower-case ASCII letters, digits and hyphens, at most 40 of them."""
    plain = unicodedata.normalize("NFKD", text.lower()).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-") or fallback


def initials(name: str) -> str:
    """The first letters of the first and the last word, where there are letters."""
    words = [word for word in re.split(r"\W+", name) if word]
    letters = [word[0] for word in (words[:1] + words[1:][-1:])]
    return "".join(letters).upper() or "•"


def capital(text: str) -> str:
    """`text` with its first letter large and the others left alone."""
    return text[:1].upper() + text[1:]


def article(noun: str) -> str:
    """`noun` behind its indefinite article."""
    return f"{'an' if noun[:1].lower() in 'aeio' else 'a'} {noun}"
