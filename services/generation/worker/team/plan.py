"""The plan of a site: how the planner gives it, and what makes one acceptable."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from kit.errors import Invalid
from kit.paths import checked_path
from services.generation.language_model import Block
from services.generation.model import Message

PLAN_SITE = "plan_site"
_MOST_SHARED = 100
_MOST_TEXT = 20_000
_MOST_TITLE = 200


@dataclass(frozen=True, slots=True)
class PagePlan:
    """One page, as its agent is told of it."""

    path: str
    title: str
    brief: str

    @property
    def folder(self) -> str:
        """Where its agent may put more files: ``about/`` for ``about.html`` and for ``about/index.html``."""
        path = PurePosixPath(self.path)
        own = path.parent if path.stem == "index" and path.parent.name else path.with_suffix("")
        return f"{own}/"

    def owns(self, path: str) -> bool:
        """Whether its agent may write this file."""
        return path == self.path or path.startswith(self.folder)


@dataclass(frozen=True, slots=True)
class SitePlan:
    """What all agents agree on."""

    style: str
    navigation: str
    shared_files: tuple[str, ...]
    pages: tuple[PagePlan, ...]

    @property
    def stylesheets(self) -> tuple[str, ...]:
        """The shared style: every page links each of these."""
        return tuple(path for path in self.shared_files if path.endswith(".css"))


def plan_tool(most_pages: int) -> Block:
    """The planner's tool."""
    text = {"type": "string"}
    page = {
        "type": "object",
        "properties": {
            "path": {**text, "description": "Such as 'index.html' or 'about.html'."},
            "title": {**text, "description": "The page's title."},
            "brief": {
                **text,
                "description": "All that who writes the page has to know: sections, wording, facts, files.",
            },
        },
        "required": ["path", "title", "brief"],
        "additionalProperties": False,
    }
    properties = {
        "style": {
            **text,
            "description": "Looks, palette, type, tone, language; the classes and parts that pages use.",
        },
        "navigation": {
            **text,
            "description": "Header, navigation and footer word for word, as HTML that every page holds.",
        },
        "shared_files": {
            "type": "array",
            "items": text,
            "description": "Paths of the files that all pages use, at least one stylesheet: you write them.",
        },
        "pages": {"type": "array", "items": page, "minItems": 1, "maxItems": most_pages},
    }
    return {
        "name": PLAN_SITE,
        "description": (
            f"Gives the plan of the site: 1 to {most_pages} pages, each written by another agent at the same time. "
            "On a site that exists, name only the pages to write or to change. Call it once, first of all."
        ),
        "input_schema": {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        },
    }


def read_plan(given: dict[str, Any], most_pages: int) -> SitePlan:
    """The plan in a call's input. Raises ``Invalid``, which names the field."""
    plan = SitePlan(
        style=_words(given, "style", "style"),
        navigation=_navigation(given.get("navigation")),
        shared_files=_shared(given.get("shared_files")),
        pages=_pages(given.get("pages"), most_pages),
    )
    if not plan.stylesheets:
        raise Invalid.field(
            "shared_files", "must hold at least one stylesheet, such as css/site.css"
        )
    _apart(plan)
    return plan


def plan_in(messages: Sequence[Message], most_pages: int) -> SitePlan | None:
    """The last acceptable plan of a planner's transcript."""
    found = None
    for message in messages:
        for block in message.content if message.role == "assistant" else ():
            if block.get("type") == "tool_use" and block.get("name") == PLAN_SITE:
                try:
                    found = read_plan(dict(block["input"]), most_pages)  # type: ignore[call-overload] # JSON
                except Invalid:
                    continue
    return found


def _words(given: dict[str, Any], field: str, name: str, most: int = _MOST_TEXT) -> str:
    value = given.get(field)
    if not isinstance(value, str) or not value.strip():
        raise Invalid.field(name, "must be a text that is not empty")
    if len(value) > most:
        raise Invalid.field(name, f"must be at most {most} characters")
    return value


def _navigation(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value or "", ensure_ascii=False)
    return _words({"navigation": text}, "navigation", "navigation")


def _shared(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(path, str) for path in value):
        raise Invalid.field("shared_files", "must be a list of paths")
    if len(value) > _MOST_SHARED:
        raise Invalid.field("shared_files", f"must be at most {_MOST_SHARED}")
    for index, path in enumerate(value):
        checked_path(path, f"shared_files[{index}]")
    return tuple(dict.fromkeys(value))


def _pages(value: Any, most: int) -> tuple[PagePlan, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= most:
        raise Invalid.field("pages", f"must be a list of 1 to {most} pages")
    return tuple(_page(page, f"pages[{index}]") for index, page in enumerate(value))


def _page(given: Any, name: str) -> PagePlan:
    if not isinstance(given, dict):
        raise Invalid.field(name, "must be an object with path, title and brief")
    path = checked_path(_words(given, "path", f"{name}.path"), f"{name}.path")
    if not path.endswith(".html"):
        raise Invalid.field(f"{name}.path", "must end with .html")
    title = _words(given, "title", f"{name}.title", _MOST_TITLE)
    return PagePlan(path, title, _words(given, "brief", f"{name}.brief"))


def _apart(plan: SitePlan) -> None:
    """No file is two agents'. Case does not tell two apart: not every file system does."""
    seen: dict[str, str] = {}
    for page in plan.pages:
        key = page.folder.casefold()
        if key in seen:
            message = f"must not hold both {seen[key]} and {page.path}: their folder is the same"
            raise Invalid.field("pages", message)
        seen[key] = page.path
    for page in plan.pages:
        others = (other for other in plan.pages if other is not page)
        if any(other.owns(page.path) for other in others):
            raise Invalid.field("pages", f"must not put {page.path} into another page's folder")
        if any(page.owns(path) for path in plan.shared_files):
            raise Invalid.field("shared_files", f"must not be {page.path} or in its folder")
