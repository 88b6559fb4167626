"""Pages of our own."""

# Importing pathlib costs a sandbox a megabyte.
# ruff: noqa: PTH118, PTH120

from __future__ import annotations

import os

from .text import html_text, quoted

LISTED = 200


def asset(name: str) -> bytes:
    """A file of this package, which may lie in an archive."""
    # The loader finds files in an archive, too.
    found: bytes = __loader__.get_data(os.path.join(os.path.dirname(__file__), name))  # type: ignore[name-defined]  # every module has one
    return found


def page(title: str, text: str, more: str = "") -> bytes:
    """A page that says something. ``more`` is HTML, the others are text."""
    found = asset("page.html").decode()
    for name, value in (("title", html_text(title)), ("text", html_text(text)), ("more", more)):
        found = found.replace("{{" + name + "}}", value)
    return found.encode("utf-8", "surrogateescape")


def welcome(pages: list[str]) -> bytes:
    """The front page of a project that has none, but perhaps others."""
    if not pages:
        return page("Nothing here yet", "The project appears as soon as it has an index.html.")
    links = [f'<li><a href="/{quoted(path)}">{html_text(path)}</a></li>' for path in pages[:LISTED]]
    listed = "<ul>" + "".join(links) + "</ul>"
    return page("No front page yet", "There is no index.html. These pages are there:", listed)
