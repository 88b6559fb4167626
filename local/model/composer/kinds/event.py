"""A page for a gathering: a conference, a festival, a celebration."""

import re
from typing import Any

from local.model.composer import lexicon, locale
from local.model.composer.brief import Brief
from local.model.composer.chance import Chance
from local.model.composer.render import base_context, render
from local.model.composer.site import Site
from local.model.composer.text import capital, slug

FALLBACK = "conference"
MONTHS = ("May", "June", "September", "October")
MONTH_NUMBER = {"May": 5, "June": 6, "September": 9, "October": 10}
# The composer has no clock: a date that the prompt leaves open lies in this year.
YEAR = 2027
_NOT_A_SUBJECT = re.compile(r"^(?:in|the|a|my|our)\b|\b(?:people|friends)$", re.IGNORECASE)


def compose(brief: Brief) -> Site:
    """The page of `brief`."""
    form = lexicon.table("events").get(brief.topic) or lexicon.table("events")[FALLBACK]
    context = base_context(brief, form["color"]) | _context(brief, form)
    files = {
        "css/theme.css": render("shared/theme.css", context),
        "css/style.css": render("event/style.css", context),
        "img/logo.svg": render("shared/logo.svg", context),
        "img/hero.svg": render("event/hero.svg", context),
        "img/map.svg": render("landing/map.svg", context),
    }
    if "story" not in brief.without:
        for number in range(1, len(form["people"]) + 1):
            portrait = render("event/person.svg", context | {"number": number})
            files[f"img/person-{number}.svg"] = portrait
    files["index.html"] = render("event/index.html", context)
    files["js/main.js"] = render("event/main.js", context)
    where = f" in {brief.place}" if brief.place else ""
    return Site(context["name"], "event page", files, f"a page for an event{where}")


def _context(brief: Brief, form: dict[str, Any]) -> dict[str, Any]:
    chance = Chance(brief.seed)
    subject = "" if _NOT_A_SUBJECT.search(brief.subject) else brief.subject
    filled = {"subject": subject, "Subject": capital(subject), "place": brief.place}
    names = [name for name in form["names"] if subject or "{" not in name]
    name = brief.name or chance.pick("name", names).format(**filled)
    where = locale.of(brief)
    month = chance.pick("month", MONTHS)
    first = chance.number("day", 3, 26)
    days = f"{first}–{first + 1}"
    return {
        "name": name,
        "slug": slug(name, "event"),
        "motif": "spark",
        "locale": where,
        "place": brief.place,
        "tagline": _tagline(form, subject, name),
        "lead": form["lead"],
        "cta": form["cta"],
        "days": form["days"],
        "days_number": days,
        "month": month,
        "year": YEAR,
        "when": f"{days} {month} {YEAR}",
        "iso": f"{YEAR}-{MONTH_NUMBER[month]:02d}-{first:02d}",
        "people_title": form["people_title"],
        "people": [[who.format(name=name), what] for who, what in form["people"]],
        "tickets_title": form["tickets_title"],
        "tickets": [
            {"name": name, "price": _price(where, price), "text": text}
            for name, price, text in form["tickets"]
        ],
        "chance": chance,
    }


def _tagline(form: dict[str, Any], subject: str, name: str) -> str:
    line: str = form["tagline"]
    if "{subject}" in line and not subject:
        return "Two days worth the journey"
    return line.format(subject=subject, name=name)


def _price(where: locale.Locale, price: str) -> str:
    if price == "0":
        return "Free"
    return where.price(int(price)) if price else ""
