"""The plan of a site that several write: its pages, its style, and the brief that makes them agree."""

from collections.abc import Mapping
from typing import Any

from local.model.agent import memory
from local.model.agent.target import Target, pages
from local.model.agent.transcript import PLAN
from local.model.composer.site import Site
from local.model.model import Conversation, ToolUse


def call(talk: Conversation, aim: Target, existing: frozenset[str]) -> ToolUse:
    """The call that tells the plan, in the shape that the tool asks for."""
    schema = next(tool.schema for tool in talk.tools if tool.name == PLAN)
    fields = schema.get("properties") or {}
    said = _fields(aim, existing)
    chosen = {key: said[key] for key in (fields or said) if key in said}
    return ToolUse(PLAN, {key: _shaped(chosen[key], fields.get(key, {})) for key in chosen})


def _fields(aim: Target, existing: frozenset[str]) -> dict[str, Any]:
    site = aim.site
    listed = list(pages(site))
    # In a change only the pages that differ have work to do; a plan without pages is none.
    due = [path for path in listed if path not in existing or path in aim.wanted] or listed[:1]
    shared = [path for path in site.files if not path.endswith(".html")]
    return {
        "style": (
            f"Every page links css/theme.css and css/style.css, and js/main.js where it needs it; "
            f"the colours stand in css/theme.css alone. {memory.word(aim.brief)}"
        ),
        "shared_files": shared,
        "pages": [_page(site, path, aim) for path in due],
        "navigation": [{"path": path, "title": _title(site, path)} for path in listed],
    }


def _page(site: Site, path: str, aim: Target) -> dict[str, str]:
    title = _title(site, path)
    return {
        "path": path,
        "title": title,
        "brief": f"“{title}” of {site.about}. {memory.word(aim.brief)}",
    }


def _title(site: Site, path: str) -> str:
    head = site.files[path].partition("<title>")[2].partition("</title>")[0]
    return head.replace("&amp;", "&").replace("&#39;", "’") or path


def _shaped(value: Any, schema: Mapping[str, Any]) -> Any:
    """`value` as `schema` wants it: text where it asks for text, and no property that it does not know."""
    kind = schema.get("type")
    if kind == "string" and not isinstance(value, str):
        return ", ".join(_line(item) for item in value)
    if kind == "array" and isinstance(value, list):
        # Pages beyond the limit are found missing and written by who reviews.
        allowed = value[: schema.get("maxItems")]
        return [_shaped(item, schema.get("items", {})) for item in allowed]
    if kind == "object" and isinstance(value, dict) and schema.get("properties"):
        known = schema["properties"]
        return {key: _shaped(item, known[key]) for key, item in value.items() if key in known}
    return value


def _line(item: Any) -> str:
    return f"{item['title']} ({item['path']})" if isinstance(item, dict) else str(item)
