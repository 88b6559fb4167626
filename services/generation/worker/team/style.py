"""Whether a page links the shared style, and how it comes to."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from contextlib import suppress
from html import escape
from html.parser import HTMLParser
from urllib.parse import quote, unquote, urlsplit

RULE = "shared-style"
# Of a page so much is looked at: a shared style is linked in its head.
_MOST_CHARACTERS = 256 * 1024
_PIECE = 4096
_LONGEST_TAG = 16 * 1024
_INERT = frozenset({"title", "textarea", "template", "noscript"})
"""Elements whose content is no markup, or is not used."""


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
    links = _Links()
    for start in range(0, min(len(page), _MOST_CHARACTERS), _PIECE):
        # It asserts on "<![x[" and the like, and takes ever longer over a tag that does not end.
        with suppress(AssertionError):
            links.feed(page[start : start + _PIECE])
        if len(links.rawdata) > _LONGEST_TAG:
            break
    return {_target(href, path) for href in links.stylesheets}


class _Links(HTMLParser):
    """Gathers the addresses of the style sheets that a page uses."""

    def __init__(self) -> None:
        super().__init__()
        self.stylesheets: list[str] = []
        self._within = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A link counts where it is one: not in a title, say."""
        if self._within:
            return
        if tag in _INERT:
            self._within = tag
        elif tag == "link":
            given = {name: value or "" for name, value in reversed(attrs)}
            if "stylesheet" in given.get("rel", "").lower().split() and "disabled" not in given:
                self.stylesheets.append(given.get("href", ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """In HTML the slash means nothing."""
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        """What holds no markup is over."""
        if tag == self._within:
            self._within = ""


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
