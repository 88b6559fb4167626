"""Which file of the site an address leads to."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote, urljoin, urlsplit

# A host of our own making: what leads away from it leads out of the site.
_ORIGIN = "http://site.invalid/"


@dataclass(frozen=True, slots=True)
class Target:
    """A place in the site."""

    path: str
    """As files are named; empty or with a slash at its end for a folder's own page."""
    fragment: str
    page: bool
    """Whether it is the file itself that the address stands in."""


def target(url: str, path: str, base: str) -> Target | None:
    """Where an address in the file at ``path`` leads; ``None``: out of the site, or nowhere that can be told."""
    try:
        own = urljoin(_ORIGIN, path)
        found = urlsplit(urljoin(urljoin(own, base), url))
    except ValueError:
        return None
    if f"{found.scheme}://{found.netloc}/" != _ORIGIN:
        return None
    fragment = unquote(found.fragment)
    if not base and (not url or url.startswith(("#", "?"))):
        return Target(path, fragment, page=True)
    return Target(unquote(found.path).removeprefix("/"), fragment, page=False)
