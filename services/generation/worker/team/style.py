"""Whether a page links the shared style, and how it comes to."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from html import escape
from urllib.parse import quote, unquote, urlsplit

import html5lib

RULE = "shared-style"


def missing(page: str, path: str, stylesheets: Iterable[str]) -> list[str]:
    """The stylesheets that the page at ``path`` does not link."""
    linked = _linked(page, path)
    return [sheet for sheet in stylesheets if sheet not in linked]


def linking(page: str, path: str, stylesheets: Iterable[str]) -> str | None:
    """The page with links to those that it misses, before all other styles; ``None`` where it has no place for them."""
    absent = missing(page, path, stylesheets)
    if not absent:
        return page
    links = "".join(f'<link rel="stylesheet" href="{_href(path, sheet)}">\n' for sheet in absent)
    for place in _places(page):
        mended = page[:place] + links + page[place:]
        if not missing(mended, path, absent):
            return mended
    return None


def _linked(page: str, path: str) -> set[str]:
    tree = html5lib.parse(page, treebuilder="etree", namespaceHTMLElements=False)
    return {
        _target(link.get("href", ""), path)
        for link in tree.iter("link")
        if "stylesheet" in link.get("rel", "").lower().split() and "disabled" not in link.attrib
    }


def _target(href: str, path: str) -> str:
    """The file of the site that an address in the file at ``path`` leads to; empty where it leads elsewhere."""
    try:
        parts = urlsplit(href.strip())
    except ValueError:
        return ""
    if parts.scheme or parts.netloc or not parts.path:
        return ""
    own = "" if parts.path.startswith("/") else posixpath.dirname(path)
    return posixpath.normpath(posixpath.join(own, unquote(parts.path).lstrip("/")))


def _href(path: str, sheet: str) -> str:
    return escape(quote(posixpath.relpath(sheet, posixpath.dirname(path) or ".")))


def _places(page: str) -> Iterable[int]:
    """Where a link may stand, the best place first. Each is tried, as the same words may stand in a comment."""
    lowered = page.lower()
    for ending in ("</title>", "<head>", "</head>", "<body"):
        found = lowered.find(ending)
        if found >= 0:
            yield found + (len(ending) if ending in {"</title>", "<head>"} else 0)
