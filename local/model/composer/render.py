"""Templates, rendered. Names from a prompt are data: everything that reaches markup is escaped."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from local.model.composer import color, languages
from local.model.composer.brief import Brief

SITES = Path(__file__).parent.parent / "sites"


@cache
def environment() -> Environment:
    """The template engine over `sites/`."""
    return Environment(
        loader=FileSystemLoader(SITES),
        autoescape=select_autoescape(["html", "svg", "xml"], default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def render(template: str, context: dict[str, Any]) -> str:
    """One file from its template in `sites/`."""
    return environment().get_template(template).render(context)


def base_context(brief: Brief, shade: str) -> dict[str, Any]:
    """What every template may use; `shade` is the colour where the brief has none."""
    light, dark = color.themes(brief.color or shade)
    return {
        "brief": brief,
        "light": dark if brief.scheme == "dark" else light,
        "dark": dark,
        "scheme": brief.scheme,
        "memo": _comment(brief.dumps()),
        "lang": brief.lang,
        "t": languages.words(brief.lang),
        "root": "",
    }


def _comment(document: str) -> str:
    """JSON that may stand in a CSS comment: `*/` cannot occur in it."""
    return document.replace("/", "\\/")


def as_json(value: Any) -> str:
    """JSON for a data file."""
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"
