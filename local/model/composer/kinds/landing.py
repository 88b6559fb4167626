"""A page for a business: three layouts, told by the trade."""

from typing import Any

from local.model.composer import languages, lexicon, locale
from local.model.composer.brief import Brief
from local.model.composer.chance import Chance
from local.model.composer.languages import ENGLISH
from local.model.composer.locale import Locale
from local.model.composer.render import base_context, render
from local.model.composer.site import Site
from local.model.composer.text import article, slug

FALLBACK = "shop"
# Opening and closing time from Monday to Sunday; None is a closed day.
HOURS: dict[str, tuple[tuple[str, str] | None, ...]] = {
    "early": (None, *[("07:00", "16:00")] * 4, ("07:30", "17:00"), ("08:00", "13:00")),
    "shop": (None, *[("09:00", "18:00")] * 4, ("10:00", "18:00"), ("10:00", "15:00")),
    "evening": (None, None, *[("18:00", "23:00")] * 4, ("12:00", "16:00")),
    "office": (*[("08:30", "17:30")] * 4, ("08:30", "15:00"), None, None),
    "long": (*[("06:00", "21:30")] * 5, ("08:00", "18:00"), ("09:00", "16:00")),
    "always": tuple([("00:00", "24:00")] * 7),
    "none": (),
}
# Width and height of the picture at the head of each layout.
ART = {"table": (480, 560), "craft": (520, 560), "product": (1120, 560)}


def compose(brief: Brief) -> Site:
    """The site of `brief`."""
    trade = _trade(brief)
    context = base_context(brief, trade["color"]) | _context(brief, trade)
    layout = context["layout"]
    files = {
        "css/theme.css": render("shared/theme.css", context),
        "css/style.css": render(f"landing/{layout}.css", context),
        "img/logo.svg": render("shared/logo.svg", context),
        "img/hero.svg": render(f"landing/hero-{layout}.svg", context),
        **_extras(layout, context),
        "index.html": render("landing/index.html", context),
        "js/main.js": render("landing/main.js", context),
    }
    return Site(context["name"], "landing page", files, _about(context))


def _extras(layout: str, context: dict[str, Any]) -> dict[str, str]:
    """Pictures of one layout alone."""
    if layout != "table":
        return {}
    return {
        "img/pattern.svg": render("shared/pattern.svg", context),
        "img/map.svg": render("landing/map.svg", context),
    }


def _trade(brief: Brief) -> dict[str, Any]:
    trades = lexicon.table("trades")
    trade: dict[str, Any] = trades.get(brief.topic) or trades[FALLBACK]
    local: dict[str, Any] = trade.get("local", {}).get(brief.country, {})
    if brief.lang == ENGLISH:
        return trade | local
    words = lexicon.table(f"trades_{brief.lang}")
    names = local.get("names", trade["names"])
    label = words["labels"].get(brief.topic, words["labels"][FALLBACK])[0]
    said: dict[str, Any] = words["layouts"][trade["layout"]]
    return trade | said | {"names": names, "label": label}


def _label(brief: Brief, trade: dict[str, Any]) -> str:
    """What the business is called in the prompt's own word, else in ours."""
    noun = lexicon.find_noun("trades", brief.subject) if brief.lang == ENGLISH else ""
    return noun or str(trade["label"])


def _context(brief: Brief, trade: dict[str, Any]) -> dict[str, Any]:
    chance = Chance(brief.seed)
    name = brief.name or chance.pick("name", trade["names"])
    where = locale.of(brief)
    chrome: Any = languages.words(brief.lang)
    filled = {"name": name, "place": brief.place or chrome["town"]}
    taglines = [line for line in trade["taglines"] if brief.place or "{place}" not in line]
    return {
        "name": name,
        "slug": slug(name),
        "label": _label(brief, trade),
        "layout": trade["layout"],
        "motif": trade["motif"],
        "art": ART[trade["layout"]],
        "locale": where,
        "hello": where.hello if brief.lang == ENGLISH else chrome["hello"],
        "place": brief.place,
        "purpose": brief.subject if trade["layout"] == "product" and brief.lang == ENGLISH else "",
        "tagline": chance.pick("tagline", taglines).format(**filled),
        "lead": trade["lead"].format(**filled),
        "offer_title": trade["offer_title"],
        "offer_lead": trade["offer_lead"],
        "offer": [
            {"name": item[0], "text": item[1], "price": where.price(item[2])}
            for item in trade["offer"]
        ],
        "points": trade["points"],
        "story_title": trade["story_title"],
        "story": trade["story"].format(**filled),
        "quote": trade["quote"],
        "cta": trade["cta"],
        "faq": _faq(brief, trade, name),
        "plans": _plans(brief, trade, where),
        "hours": list(zip(chrome["days"], HOURS[trade["hours"]], strict=False)),
        "always_open": trade["hours"] == "always",
        "chance": chance,
    }


def _faq(brief: Brief, trade: dict[str, Any], name: str) -> list[list[str]]:
    if brief.lang == ENGLISH:
        layout = "product" if trade["layout"] == "product" else "craft"
        items = lexicon.table("faq")[layout]["items"]
    else:
        items = trade.get("faq") or lexicon.table("pages")["faq"][brief.lang]["items"]
    return [[line.format(name=name) for line in item] for item in items]


def _plans(
    brief: Brief, trade: dict[str, Any], where: Locale
) -> list[tuple[str, str, str, list[str]]]:
    english = lexicon.table("faq")["plans"]
    prices = [plan["price"] for plan in english]
    words = [[plan[key] for key in ("name", "free", "unit", "lines")] for plan in english]
    if brief.lang != ENGLISH:
        words = trade.get("plans", [])
    return [
        (name, where.price(price) or free, unit, lines)
        for price, (name, free, unit, lines) in zip(prices, words, strict=False)
    ]


def _about(context: dict[str, Any]) -> str:
    where = f" in {context['place']}" if context["place"] else ""
    label = context["label"] if context["lang"] != ENGLISH else article(context["label"])
    return f"{label}{where}"
