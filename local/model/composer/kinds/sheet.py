"""Kinds that are one page from one table of words in every language: menu, shop, résumé, gallery, course, dashboard."""

from typing import Any

from local.model.composer import languages, lexicon, locale
from local.model.composer.brief import Brief
from local.model.composer.chance import Chance
from local.model.composer.render import base_context, render
from local.model.composer.site import Site
from local.model.composer.text import initials, slug

# Pictures of a kind beyond its logo: path with `{}` for the number, template, how many.
PICTURES: dict[str, tuple[str, str, int]] = {
    "shop": ("img/thing-{}.svg", "shared/cover.svg", 6),
    "gallery": ("img/picture-{}.svg", "shared/cover.svg", 8),
    "course": ("img/person-{}.svg", "event/person.svg", 2),
    "dashboard": ("img/chart.svg", "dashboard/chart.svg", 1),
}
SCRIPTED = ("shop", "resume", "gallery", "dashboard")


def compose(brief: Brief) -> Site:
    """The site of `brief`."""
    look = lexicon.table(f"sheets/{brief.kind}")
    context = base_context(brief, look["color"]) | _context(brief, look)
    files = {
        "css/theme.css": render("shared/theme.css", context),
        "css/style.css": render(f"{brief.kind}/style.css", context),
        "img/logo.svg": render(_logo(brief.kind), context),
        **_pictures(brief.kind, context),
        "index.html": render(f"{brief.kind}/index.html", context),
    }
    if brief.kind in SCRIPTED:
        files["js/main.js"] = render(f"{brief.kind}/main.js", context)
    label = look["label"]["en"]
    where = f" in {brief.place}" if brief.place else ""
    return Site(context["name"], label.partition(" ")[2], files, f"{label}{where}")


def _logo(kind: str) -> str:
    return "shared/initials.svg" if kind == "resume" else "shared/logo.svg"


def _pictures(kind: str, context: dict[str, Any]) -> dict[str, str]:
    path, template, count = PICTURES.get(kind, ("", "", 0))
    return {
        path.format(number): render(template, context | {"cover": number, "number": number})
        for number in range(1, count + 1)
    }


def _context(brief: Brief, look: dict[str, Any]) -> dict[str, Any]:
    chance = Chance(brief.seed)
    words = look[brief.lang]
    name = brief.name or chance.pick("name", look["names"])
    where = locale.of(brief)
    return {
        "look": look,
        "w": words,
        "name": name,
        "slug": slug(name),
        "initials": initials(name),
        "motif": look["motif"],
        "lead": words["lead"],
        "place": brief.place,
        "locale": where,
        "price": where.price,
        "chance": chance,
        **_start(brief.lang, look.get("start")),
    }


def _start(lang: str, day: list[int] | None) -> dict[str, str]:
    """The day on which it begins, for people and for machines."""
    if day is None:
        return {}
    chrome: Any = languages.words(lang)
    written = chrome["date"].format(day=day[2], month=chrome["months"][day[1] - 1], year=day[0])
    return {"iso": f"{day[0]}-{day[1]:02d}-{day[2]:02d}", "date": written}
