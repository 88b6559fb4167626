"""A game that plays: snake, memory, tic-tac-toe, breakout."""

from local.model.composer.brief import Brief
from local.model.composer.chance import Chance
from local.model.composer.lexicon import table
from local.model.composer.render import base_context, render
from local.model.composer.site import Site


def compose(brief: Brief) -> Site:
    """The game of `brief`; one of all where the prompt names none."""
    games = table("games")
    topic = brief.topic if brief.topic in games else Chance(brief.seed).pick("game", list(games))
    words = games[topic]
    context = base_context(brief, words["color"]) | {
        "name": brief.name or words["name"],
        "topic": topic,
        "motif": words["motif"],
        "lead": words["lead"],
        "rules": words["rules"],
        "canvas_label": words["canvas_label"],
    }
    files = {
        "css/theme.css": render("shared/theme.css", context),
        "css/style.css": render(f"game/{topic}.css", context),
        "img/logo.svg": render("shared/logo.svg", context),
        "index.html": render(f"game/{topic}.html", context),
        "js/game.js": render(f"game/{topic}.js", context),
    }
    return Site(context["name"], words["about"], files, words["about"])
