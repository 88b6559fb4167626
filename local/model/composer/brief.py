"""What a site is to be: read from a prompt, small, and enough to compose the same site again."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache

from local.model.composer import asked, languages, lexicon, reading
from local.model.composer.reading import MAX_NAME, MAX_SUBJECT, Scheme, tidy

SHEETS = ("menu", "shop", "resume", "gallery", "course", "dashboard")
KINDS = ("landing", "portfolio", "blog", "event", "docs", "tool", "game", *SHEETS)
# Kinds whose words there are in every language of the lexicon; the others are in English alone.
TRANSLATED = ("landing", *SHEETS)


@dataclass(frozen=True, slots=True)
class Brief:
    """A site in a few words. `topic` is the trade, the tool or the game; empty when it has none."""

    kind: str
    topic: str = ""
    name: str = ""
    subject: str = ""
    place: str = ""
    country: str = lexicon.ANY
    color: str = ""
    scheme: Scheme = "auto"
    seed: int = 0
    without: tuple[str, ...] = ()
    # Sections and pages on top of what the kind has.
    added: tuple[str, ...] = ()
    pages: tuple[str, ...] = ()
    lang: str = languages.ENGLISH

    def dumps(self) -> str:
        """The brief as one line of JSON, ASCII only."""
        return json.dumps({key: value for key, value in asdict(self).items() if value})


def loads(document: str) -> Brief:
    """A brief from `Brief.dumps`; raises ValueError when it is none."""
    values = json.loads(document)
    if not isinstance(values, Mapping) or values.get("kind") not in KINDS:
        raise ValueError("not a brief")
    lists = ("without", "added", "pages")
    known = {field.name for field in fields(Brief)} - set(lists)
    try:
        brief = Brief(**{key: values[key] for key in known & set(values)})
        without, added, pages = (tuple(map(str, values.get(key, ()))) for key in lists)
        return _checked(replace(brief, without=without, added=added, pages=pages))
    except (TypeError, AttributeError) as error:
        raise ValueError("not a brief") from error


def _checked(brief: Brief) -> Brief:
    """A brief from elsewhere, with what could not have been made here put right."""
    fine = re.fullmatch(r"#[0-9a-f]{6}", brief.color) is not None
    scheme: Scheme = brief.scheme if brief.scheme in ("auto", "light", "dark") else "auto"
    country = brief.country if brief.country in lexicon.table("places") else lexicon.ANY
    return replace(
        brief,
        color=brief.color if fine else "",
        lang=brief.lang if brief.lang in languages.all_of_them() else languages.ENGLISH,
        added=tuple(page for page in brief.added if page in lexicon.table("pages")),
        pages=tuple(page for page in brief.pages if page in lexicon.table("pages")),
        scheme=scheme,
        country=country,
        topic=tidy(brief.topic, MAX_SUBJECT),
        place=tidy(brief.place, MAX_SUBJECT),
        seed=int(brief.seed),
        name=tidy(brief.name, MAX_NAME),
        subject=tidy(brief.subject, MAX_SUBJECT),
    )


@lru_cache(maxsize=256)
def parse(prompt: str) -> Brief:
    """The brief of a first prompt."""
    text = reading.beginning(prompt)
    name = reading.find_name(text)
    # A name like "Blue Door" or "The Snake Pit" must not decide what the site is.
    rest = text.replace(name, " ") if name else text
    kind, topic = reading.find_kind(rest)
    # "In German" is no place.
    place, country = reading.find_place(languages.without(rest))
    lang = languages.find(rest) if kind in TRANSLATED else languages.ENGLISH
    return Brief(
        kind=kind,
        topic=topic,
        name=name,
        subject=reading.find_subject(rest, kind),
        place=place,
        country=country or ("" if place else languages.country(lang)) or lexicon.ANY,
        color=reading.find_color(rest),
        scheme=reading.find_scheme(rest),
        seed=int.from_bytes(hashlib.sha256(text.encode()).digest()[:3], "big"),
        pages=asked.find(rest),
        lang=lang,
    )
