"""Follow-up prompts: from a brief and a wish to the changed brief."""

import re
from dataclasses import replace

from local.model.composer import asked, languages, lexicon, reading
from local.model.composer import brief as briefs
from local.model.composer.brief import Brief
from local.model.composer.compose import compose

_RENAME = re.compile(
    r"\b(?:title|name|rename|call|heading|brand)\b(?:\s+(?:it|the|this|site|page|website|of|should be|bakery|"
    r"business|company|shop|project))*\s*(?:is|to|as|into|=|:)?\s+(?:called\s+|named\s+)?"
    r"(?:[\"“'‘](?P<quoted>[^\"”’]{1,120})[\"”'’]|(?P<plain>[^\"“”,.;!?\n]{1,80}))",
    re.IGNORECASE,
)
# The same in Spanish, German and Portuguese: what is changed is named before what it becomes.
_RENAME_ABROAD = re.compile(
    r"\b(?:(?:cambi|pon|änder|setz|mud|alter|troc|troqu)\w*\s+(?:(?:el|la|o|a|den|die|das)\s+)?"
    r"(?:t[íi]tulo|titel|nombre|namen?|nome|überschrift)\b(?:\s+(?:de la|del|da|do|der|des)\s+\w+)?"
    r"\s+(?:a|en|por|para|in|zu|auf)|ll[áa]mal[oa]|ren[óo]mbral[oa]\s+(?:a|como)|nenne?\s+(?:es|sie)|"
    r"cham[ae]-(?:[oa]|lhe))\s+"
    r"(?:[\"“„«'‘](?P<quoted>[^\"“”»’]{1,120})[\"”“»'’]|(?P<plain>[^\"“”,.;!?\n]{1,80}))",
    re.IGNORECASE,
)
_REMOVE = re.compile(
    r"\b(?:remove|delete|drop|without|hide|get rid of|(?:quit|elimin|borr)\w+|(?:entfern|lösch)\w*|"
    r"(?:remov|retir)\w+)\s+(?:the\s+|all\s+|our\s+)?"
    r"(?P<what>[\w -]{2,40}?)(?:\s+(?:section|part|block|table|area))?"
    r"(?=[.,;!?]|$|\s+(?:and|y|und|e)\b|\s+from\b)",
    re.IGNORECASE,
)
_AUTOMATIC = re.compile(
    r"\b(?:follow|match|respect)\w*\b.*\bsystem\b|\bboth (?:themes|modes|schemes)\b", re.IGNORECASE
)
_LIGHT = re.compile(
    r"\b(?:make|turn|switch|go|use|keep)\b.*\b(?:light|lighter|bright|brighter|white)\b",
    re.IGNORECASE,
)
_NO_DARK = re.compile(
    r"\b(?:no|not|without|remove|drop|instead of)\s+(?:the\s+)?dark\b", re.IGNORECASE
)


def apply(brief: Brief, text: str) -> tuple[Brief, list[str]]:
    """The brief after the wish `text`, and what was changed in words; nothing when not understood."""
    text = reading.beginning(text)
    done: list[str] = []
    name = _new_name(text)
    if name and name != brief.name:
        brief, done = replace(brief, name=name), [*done, f"named it {name}"]
    rest = text.replace(name, " ") if name else text
    shade = reading.find_color(rest)
    if shade and shade != brief.color:
        brief, done = replace(brief, color=shade), [*done, "changed the colours"]
    scheme = _new_scheme(rest)
    if scheme and scheme != brief.scheme:
        brief, done = replace(brief, scheme=scheme), [*done, f"made it {_SCHEME_WORDS[scheme]}"]
    lang = languages.asked(rest)
    if lang and lang != brief.lang and brief.kind in briefs.TRANSLATED:
        brief, done = replace(brief, lang=lang), [*done, f"put it into {_LANGUAGES[lang]}"]
    brief, more = _extend(brief, rest)
    done += more
    dropped = [part for part in _removed(rest) if _shows(brief, part)]
    if dropped:
        brief = replace(brief, without=(*brief.without, *dropped))
        done = [*done, f"took out the {' and the '.join(dropped)} section"]
    if not done and starts_over(text):
        fresh = briefs.parse(text)
        if (fresh.kind, fresh.topic) != (brief.kind, brief.topic):
            return fresh, ["started over"]
    return brief, done


def _extend(brief: Brief, text: str) -> tuple[Brief, list[str]]:
    """The brief with the pages and sections that `text` wants added or removed."""
    gone = [page for page in _taken(text) if page in (*brief.pages, *brief.added)]
    if gone:
        pages, added = (
            tuple(p for p in old if p not in gone) for old in (brief.pages, brief.added)
        )
        return replace(brief, pages=pages, added=added), [f"took out {' and '.join(gone)}"]
    if not _ADD.search(text):
        return brief, []
    pages = tuple(page for page in asked.find(text) if page not in brief.pages)
    if pages:
        made = replace(brief, pages=(*brief.pages, *pages)[: asked.MOST_PAGES])
        return made, [f"added the {' and '.join(pages)} {'page' if len(pages) == 1 else 'pages'}"]
    match = _SECTION.search(text)
    wanted = asked.named(match[1]) if match else []
    sections = tuple(key for key in wanted if key not in brief.added)
    if not sections:
        return brief, []
    back = tuple(part for part in brief.without if part not in sections)
    made = replace(brief, without=back, added=(*brief.added, *sections))
    return made, [f"added the {' and '.join(sections)} section"]


def _taken(text: str) -> list[str]:
    return [page for match in _REMOVE.finditer(text) for page in asked.named(match.group("what"))]


_ADDS = "add|include|insert|append|añad|agreg|incluy|füg|ergänz|adicion|acrescent"
_ADD = re.compile(
    rf"\b(?:{_ADDS})\w*",
    re.IGNORECASE,
)
_SECTION = re.compile(
    rf"\b(?:{_ADDS})\w*\s+([^.;!?]{{1,60}})",
    re.IGNORECASE,
)
_LANGUAGES = {"en": "English", "es": "Spanish", "de": "German", "pt": "Portuguese"}


def starts_over(text: str) -> bool:
    """Whether `text` describes a site rather than a change to one."""
    return bool(_BUILDS.search(text)) or any(reading.find_kind(text)[1:])


_BUILDS = re.compile(
    r"\b(?:build|create|design|generate|write|make(?: me)?|i (?:want|need))\s+(?:an?|my|our)\s|"
    r"\b(?:page|site|website|blog|portfolio|app|game|tool|docs)\s+(?:for|about|of)\b",
    re.IGNORECASE,
)
_SCHEME_WORDS = {"dark": "dark", "light": "light", "auto": "follow the visitor’s system"}


def _new_name(text: str) -> str:
    match = _RENAME_ABROAD.search(text) or _RENAME.search(text)
    if not match:
        return ""
    name = match.group("quoted") or match.group("plain") or ""
    name = re.sub(r"^(?:to|is|as|be|it)\s+", "", name.strip(), flags=re.IGNORECASE)
    return reading.tidy(
        re.split(r"\s+(?:and|y|und|e)\s+(?=[a-z])|\s+please\b", name)[0], reading.MAX_NAME
    )


def _new_scheme(text: str) -> reading.Scheme | None:
    if _AUTOMATIC.search(text):
        return "auto"
    if _LIGHT.search(text) or _NO_DARK.search(text):
        return "light"
    found = reading.find_scheme(text)
    if found == "auto" and re.search(r"\bdarker\b", text, re.IGNORECASE):
        return "dark"
    return None if found == "auto" else found


def _shows(brief: Brief, part: str) -> bool:
    """Whether the site has the section, so that nobody is told that it went where it never was."""
    less = replace(brief, without=(*brief.without, part))
    return compose(brief).files["index.html"] != compose(less).files["index.html"]


def _removed(text: str) -> list[str]:
    wanted = " ".join(match.group("what").lower() for match in _REMOVE.finditer(text)).split()
    sections = lexicon.table("sections")
    return [part for part, words in sections.items() if any(word in wanted for word in words)]
