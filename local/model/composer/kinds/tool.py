"""A small tool that works: a to-do list, a calculator, a unit converter, a focus timer."""

from local.model.composer.brief import Brief
from local.model.composer.lexicon import table
from local.model.composer.render import base_context, render
from local.model.composer.site import Site

FALLBACK = "todo"


def compose(brief: Brief) -> Site:
    """The tool of `brief`."""
    topic = brief.topic if brief.topic in table("tools") else FALLBACK
    words = table("tools")[topic]
    context = base_context(brief, words["color"]) | {
        "name": brief.name or words["name"],
        "topic": topic,
        "motif": words["motif"],
        "lead": words["lead"],
        "foot": words["foot"],
    }
    files = {
        "css/theme.css": render("shared/theme.css", context),
        "css/style.css": render(f"tool/{topic}.css", context),
        "img/logo.svg": render("shared/logo.svg", context),
        "index.html": render(f"tool/{topic}.html", context),
        "js/app.js": render(f"tool/{topic}.js", context),
    }
    return Site(context["name"], words["about"], files, words["about"])
