"""A portfolio: one page of work, and a page for each piece."""

from typing import Any

from local.model.composer.brief import Brief
from local.model.composer.chance import Chance
from local.model.composer.lexicon import find_noun, table
from local.model.composer.render import base_context, render
from local.model.composer.site import Site
from local.model.composer.text import article, initials, slug

FALLBACK = "designer"
NEWEST_YEAR = 2026


def compose(brief: Brief) -> Site:
    """The portfolio of `brief`."""
    person = table("people").get(brief.topic) or table("people")[FALLBACK]
    context = base_context(brief, person["color"]) | _context(brief, person)
    works = context["works"]
    files = {
        "css/theme.css": render("shared/theme.css", context),
        "css/style.css": render("portfolio/style.css", context),
        "img/logo.svg": render("shared/initials.svg", context),
    }
    for index, work in enumerate(works):
        files[f"img/{work['slug']}.svg"] = render("shared/cover.svg", context | {"cover": index})
    files["index.html"] = render("portfolio/index.html", context)
    for index, work in enumerate(works):
        pair = {"work": work, "next": works[(index + 1) % len(works)], "root": "../"}
        files[f"work/{work['slug']}.html"] = render("portfolio/work.html", context | pair)
    files["js/main.js"] = render("portfolio/main.js", context)
    where = f" in {brief.place}" if brief.place else ""
    about = f"the portfolio of {article(context['label'])}{where}"
    return Site(context["name"], "portfolio", files, about)


def _context(brief: Brief, person: dict[str, Any]) -> dict[str, Any]:
    chance = Chance(brief.seed)
    name = brief.name or chance.pick("name", person["names"])
    return {
        "name": name,
        "slug": slug(name),
        "initials": initials(name),
        "label": find_noun("people", brief.subject) or person["label"],
        "place": brief.place,
        "lead": person["statement"],
        "about": person["about"],
        "does": person["does"],
        "works": [
            {
                "title": title,
                "tag": tag,
                "client": client,
                "text": text,
                "slug": slug(title),
                "year": NEWEST_YEAR - index,
            }
            for index, (title, tag, client, text) in enumerate(person["works"])
        ],
        "chance": chance,
    }
