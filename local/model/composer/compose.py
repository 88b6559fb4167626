"""The one door to the composer: a brief goes in, a site comes out."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

from local.model.composer import extras
from local.model.composer.brief import SHEETS, TRANSLATED, Brief
from local.model.composer.kinds import blog, docs, event, game, landing, portfolio, sheet, tool
from local.model.composer.languages import ENGLISH
from local.model.composer.site import Site

_KINDS: dict[str, Callable[[Brief], Site]] = {
    "landing": landing.compose,
    "blog": blog.compose,
    "docs": docs.compose,
    "event": event.compose,
    "portfolio": portfolio.compose,
    "tool": tool.compose,
    "game": game.compose,
    **dict.fromkeys(SHEETS, sheet.compose),
}


@lru_cache(maxsize=256)
def compose(brief: Brief) -> Site:
    """The site of `brief`, in English where its kind has no other words."""
    if brief.kind not in TRANSLATED:
        brief = replace(brief, lang=ENGLISH)
    return extras.extend(_KINDS[brief.kind](brief), brief)
