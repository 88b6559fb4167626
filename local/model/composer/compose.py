"""The one door to the composer: a brief goes in, a site comes out."""

from collections.abc import Callable
from functools import lru_cache

from local.model.composer.brief import Brief
from local.model.composer.kinds import blog, docs, event, game, landing, portfolio, tool
from local.model.composer.site import Site

_KINDS: dict[str, Callable[[Brief], Site]] = {
    "landing": landing.compose,
    "blog": blog.compose,
    "docs": docs.compose,
    "event": event.compose,
    "portfolio": portfolio.compose,
    "tool": tool.compose,
    "game": game.compose,
}


@lru_cache(maxsize=256)
def compose(brief: Brief) -> Site:
    """The site of `brief`; a kind without templates of its own becomes a landing page."""
    return _KINDS.get(brief.kind, landing.compose)(brief)
