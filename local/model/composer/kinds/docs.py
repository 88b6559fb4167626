"""Documentation: an overview, the first steps, a reference, one navigation over all."""

from typing import Any

from local.model.composer.brief import Brief
from local.model.composer.chance import Chance
from local.model.composer.lexicon import table
from local.model.composer.render import base_context, render
from local.model.composer.site import Site
from local.model.composer.text import slug


def compose(brief: Brief) -> Site:
    """The documentation of `brief`."""
    words = table("docs")
    chance = Chance(brief.seed)
    name = brief.name or chance.pick("name", words["names"])
    filled = {"name": name, "command": slug(name, "tool")}
    pages = [_page(page, filled) for page in words["pages"]]
    context = base_context(brief, words["color"]) | {
        "name": name,
        "motif": "book",
        "lead": words["lead"].format(**filled),
        "pages": pages,
        "chance": chance,
    }
    files = {
        "css/theme.css": render("shared/theme.css", context),
        "css/style.css": render("docs/style.css", context),
        "img/logo.svg": render("shared/logo.svg", context),
    }
    for index, page in enumerate(pages):
        turns = {
            "page": page,
            "before": pages[index - 1] if index else None,
            "after": pages[index + 1] if index + 1 < len(pages) else None,
        }
        files[f"{page['slug']}.html"] = render("docs/page.html", context | turns)
    files["js/main.js"] = render("docs/main.js", context)
    return Site(name, "documentation", files, f"the documentation of {name}")


def _page(page: dict[str, Any], filled: dict[str, str]) -> dict[str, Any]:
    return {
        "slug": page["slug"],
        "title": page["title"],
        "intro": page["intro"].format(**filled),
        "sections": [
            {
                "title": section["title"],
                "slug": slug(section["title"]),
                "text": [paragraph.format(**filled) for paragraph in section["text"]],
                "code": section["code"].format(**filled),
                "table": section.get("table", []),
            }
            for section in page["sections"]
        ],
    }
