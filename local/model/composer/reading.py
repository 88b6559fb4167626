"""Reading a prompt: names, places, colours and kinds, found by words and never guessed from meaning."""

import re
from functools import cache
from typing import Literal

from local.model.composer import color, languages, lexicon

Scheme = Literal["auto", "light", "dark"]
MAX_NAME = 60
MAX_SUBJECT = 48
# Only the beginning of a very long prompt is read: what is wanted is said there.
READ_CHARACTERS = 4_000


def beginning(prompt: str) -> str:
    """The part of `prompt` that is read, on one line."""
    return re.sub(r"\s+", " ", printable(prompt[: 2 * READ_CHARACTERS]))[:READ_CHARACTERS].strip()


_QUOTED = r"[\"“«„]([^\"“”«»„]{1,200})[\"”»“]|(?<!\w)'([^']{1,200})'(?!\w)|‘([^‘]{1,200}?)’(?!\w)"
_CALLED = re.compile(
    rf"\b(?:called|named|titled|entitled|name is|name:|title:|"
    rf"llamad[ao]|chamad[ao]|namens|genannt)\s+(?:{_QUOTED}|([^\s,.;:!?][^,;:!?\n]*))",
    re.IGNORECASE,
)
_ANY_QUOTED = re.compile(_QUOTED)
_ENDS_NAME = re.compile(
    r"\.(?:\s|$)|\s(?:in|with|for|that|which|who|using|where|on|at|from|featuring|"
    r"please|en|em|para|mit|für|im|and (?=[a-z]))\s?",
)
_PROPER = re.compile(
    r"\b(?:for|of|by|para)\s+((?:[A-ZÀ-Þ][\w'’&.-]*)(?:\s+(?:[A-ZÀ-Þ][\w'’&.-]*|&|and(?=\s[A-ZÀ-Þ])|de|da|do|von|van|la|le))*)"
)


def find_name(text: str) -> str:
    """The name given to the site or to whom it is for."""
    called = _CALLED.search(text)
    if called:
        *quoted, plain = called.groups()
        return tidy(next(filter(None, quoted), None) or _ENDS_NAME.split(plain)[0], MAX_NAME)
    quote = _ANY_QUOTED.search(text)
    if quote:
        return tidy(next(filter(None, quote.groups())), MAX_NAME)
    for match in _PROPER.finditer(text):
        name = tidy(match.group(1).rstrip(".'’"), MAX_NAME)
        if not _is_common(name):
            return name
    return ""


def _is_common(name: str) -> bool:
    """Whether a capitalised word names a place, a trade or a kind rather than somebody."""
    alone = len(name.split()) == 1
    return bool(
        lexicon.find_place(name)[0] == name
        or name in ("I", "My", "A", "An", "The", "HTML", "CSS", "AI", "SaaS")
        or (alone and (lexicon.find_trade(name) or find_kind(name)[1]))
    )


_ADDED = re.compile(
    r"\b(?:with|and|plus|including|has|have|add|con|com|mit) (?:an?|the|my|our|una?|uma?|eine[rm]?)? ?$",
    re.IGNORECASE,
)


def find_kind(text: str) -> tuple[str, str]:
    """The kind of site and its topic: the first word that names one decides.

    What comes "with a …" is a part of the site and no kind; a specific game or tool outdoes a bare
    "game" wherever it stands.
    """
    found = [
        (match.start(), order, kind, topic)
        for order, (kind, topic, pattern) in enumerate(lexicon.kinds())
        for match in pattern.finditer(text)
        if not _ADDED.search(text[max(0, match.start() - 20) : match.start()])
    ]
    if not found:
        return "landing", lexicon.find_trade(text)
    _, _, kind, topic = min(found)
    if kind == "game" and not topic:
        topic = next((t for _, _, k, t in sorted(found) if k == "game" and t), "")
    if kind == "portfolio":
        return kind, lexicon.find_in("people", text)
    if kind == "event":
        return kind, lexicon.find_in("events", text)
    return kind, topic or lexicon.find_trade(text)


_IN_PLACE = re.compile(r"\b(?:in|from|near)\s+((?:[A-ZÀ-Þ][\w'’.-]+)(?:\s+[A-ZÀ-Þ][\w'’.-]+){0,2})")


def find_place(text: str) -> tuple[str, str]:
    """The place and its country; a place that is not known has none."""
    place, country = lexicon.find_place(text)
    if place:
        return place if place[0].isupper() else place.title(), country
    match = _IN_PLACE.search(text)
    return (tidy(match.group(1), 40), "") if match else ("", "")


_HEX = re.compile(r"#(?:[0-9a-f]{6}|[0-9a-f]{3})(?![0-9a-z])", re.IGNORECASE)


@cache
def _colors() -> dict[str, str]:
    foreign = lexicon.table("languages")["colors"]
    return {**color.NAMED, **{word: color.NAMED[name] for word, name in foreign.items()}}


@cache
def _color_words() -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)({'|'.join(_colors())})(?!\w)", re.IGNORECASE)


def find_color(text: str) -> str:
    """The first colour named in `text`, as hex."""
    literal = _HEX.search(text)
    if literal:
        digits = literal.group(0)[1:].lower()
        return "#" + (digits if len(digits) == 6 else "".join(digit * 2 for digit in digits))
    word = _color_words().search(text)
    return _colors()[word.group(1).lower()] if word else ""


_SCHEMES = re.compile(
    r"\b(?:(dark|night)(?![- ]?(?:roast|chocolate|room|rye))|"
    r"(light|bright|white)[- ](?:mode|theme|scheme|background|version|only))\b",
    re.IGNORECASE,
)


def find_scheme(text: str) -> Scheme:
    """Whether the site is to be dark or light, or as the visitor's system is."""
    match = _SCHEMES.search(text)
    if not match:
        said = languages.scheme(text)
        return "dark" if said == "dark" else "light" if said == "light" else "auto"
    return "dark" if match.group(1) else "light"


_SUBJECT = re.compile(
    r"\b(?:about|on|covering|devoted to|dedicated to|for)\s+(?:an?\s+|the\s+|my\s+|our\s+)?"
    r"([^,.;:!?()\"“”]{2,80})",
    re.IGNORECASE,
)
_ENDS_SUBJECT = re.compile(
    r"(?:^|\s)(?:in|with|called|named|that|which|who|using|where|at|from|featuring|please|made|"
    r"and (?:a|an|the|use|make))\s.*$",
    re.IGNORECASE,
)
# "a SaaS that tracks invoices", "an app for dog walkers"
_PURPOSE = re.compile(
    r"\b(?P<link>that|which|for|to) (?P<what>[a-z][^,.;:!?()\"“”]{3,60})", re.IGNORECASE
)


def find_subject(text: str, kind: str) -> str:
    """What the site is about, in the prompt's own words; what that means depends on the kind.

    A landing page and a portfolio have the word for the business or the person ("pizzeria"), or, for
    a product, what it is for ("that tracks invoices"); a tool and a game have none.
    """
    if kind in ("tool", "game"):
        return ""
    if kind == "portfolio":
        return lexicon.find_noun("people", text)
    if kind == "landing":
        return _landing_subject(text)
    match = _SUBJECT.search(text)
    return tidy(_ENDS_SUBJECT.sub("", match.group(1) + " "), MAX_SUBJECT) if match else ""


def _landing_subject(text: str) -> str:
    noun = lexicon.find_noun("trades", text)
    if lexicon.find_trade(text) != "saas":
        return noun
    start = re.search(r"landing page for |page for |website for |site for ", text, re.IGNORECASE)
    match = _PURPOSE.search(text, start.end() if start else 0)
    purpose = (
        f"{match['link'].lower()} {_ENDS_SUBJECT.sub('', match['what'] + ' ')}" if match else ""
    )
    return tidy(f"{noun or 'software'} {purpose}", MAX_SUBJECT) if purpose else noun


def tidy(text: str, limit: int) -> str:
    """`text` on one line, at most `limit` characters, not cut inside a word where that can be helped."""
    line = re.sub(r"\s+", " ", printable(text)).strip(" \t,;-–—")
    if len(line) <= limit:
        return line
    head, space, _ = line[: limit + 1].rpartition(" ")
    return head if space and len(head) > limit // 2 else line[:limit]


def printable(text: str) -> str:
    """`text` without what no document may hold: control characters and lone surrogates."""
    kept = "".join(
        character if character.isprintable() or character.isspace() else " " for character in text
    )
    return kept.encode("utf-8", "ignore").decode()
