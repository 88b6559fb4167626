"""Which pages are worth a look, and what of it is said already."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from services.generation.checks.site import Files
from services.generation.model import Finding

MOST_PAGES = 5
# A change of these can break any page.
_SHARED = (".js", ".mjs", ".css", ".json", ".svg")
_ENDINGS = (".html", ".htm")


def worth_loading(files: Files, changed: Collection[str]) -> list[str]:
    """Pages that were changed or may use what was, the first page first, at most ``MOST_PAGES``."""
    pages = [path for path in files if path.endswith(_ENDINGS) and files[path] is not None]
    shared = any(path.endswith(_SHARED) for path in changed)
    due = [path for path in pages if path in changed or shared]
    due.sort(key=lambda path: (path != "index.html", path not in changed, path.count("/"), path))
    return due[:MOST_PAGES]


def unsaid(seen: Sequence[Finding], said: Sequence[Finding]) -> list[Finding]:
    """What the browser saw and the parsers did not say: a syntax error is found by both."""
    places = {finding.path for finding in said}
    return [
        finding
        for finding in seen
        if not (finding.message.startswith("SyntaxError") and finding.path in places)
    ]
