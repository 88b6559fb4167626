"""Pages and sections on top of what a kind has, put into a composed site; they are the same for every kind."""

from dataclasses import replace
from typing import Any

from local.model.composer import languages, lexicon, locale
from local.model.composer.brief import Brief
from local.model.composer.render import render
from local.model.composer.site import Site
from local.model.composer.text import slug

STYLE = "css/pages.css"


def extend(site: Site, brief: Brief) -> Site:
    """`site` with the pages and sections of `brief` that it does not have by itself."""
    pages = [_page(key, brief, site) for key in brief.pages if f"{key}.html" not in site.files]
    sections = [_page(key, brief, site) for key in brief.added if f'id="{key}"' not in _first(site)]
    if not pages and not sections:
        return site
    context = {
        "t": languages.words(brief.lang),
        "lang": brief.lang,
        "name": site.name,
        "slug": slug(site.name),
        "place": brief.place,
        "locale": locale.of(brief),
        "pages": pages,
        "root": "",
    }
    files = dict(site.files)
    for page in pages:
        files[f"{page['slug']}.html"] = render(
            "shared/extra.html", context | {"page": page, "level": 2, "lead": page["lead"]}
        )
    told = [
        render("shared/extra-section.html", context | {"page": s, "level": 3}) for s in sections
    ]
    files["index.html"] = _before(files["index.html"], "</main>", "".join(told))
    for path, text in files.items():
        if path.endswith(".html"):
            files[path] = _linked(path, text, context)
    first = {"css/theme.css": files["css/theme.css"], STYLE: render("shared/pages.css", context)}
    return replace(site, files=first | files)


def _first(site: Site) -> str:
    return site.files["index.html"]


def _page(key: str, brief: Brief, site: Site) -> dict[str, Any]:
    entry = lexicon.table("pages")[key]
    words = entry[brief.lang]
    price = locale.of(brief).price
    return {
        "slug": key,
        "nav": words["nav"],
        "title": words["title"],
        "lead": words["lead"].format(name=site.name),
        "text": words.get("text", []),
        "items": [_item(item, site.name, price) for item in words.get("items", [])],
        "address": entry.get("address", False),
    }


def _item(item: list[Any], name: str, price: Any) -> list[str]:
    return [item[0], item[1].format(name=name), price(item[2]) if len(item) > 2 else ""]


def _linked(path: str, text: str, context: dict[str, Any]) -> str:
    """The page with the style and the way between the pages."""
    root = "../" * path.count("/")
    text = _before(text, "</head>", f'  <link rel="stylesheet" href="{root}{STYLE}">\n')
    if not context["pages"]:
        return text
    nav = render("shared/extra-nav.html", context | {"root": root, "here": path})
    return _before(text, "</body>", nav)


def _before(text: str, mark: str, what: str) -> str:
    head, found, tail = text.rpartition(mark)
    indent = head[len(head.rstrip(" ")) :]
    return f"{head.rstrip(' ')}{what}{indent}{found}{tail}"
