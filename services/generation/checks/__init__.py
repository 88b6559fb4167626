"""Checks of a site's files, on what they say: no page is loaded, nothing is fetched, nothing outside them is known.

``blamed`` is what a change is to blame for. The parsers are html5lib, tinycss2, tree-sitter and the standard library's;
the files come from a model, so ``process`` runs them in a process of their own that may be lost.
"""

from services.generation.checks.site import Files, blamed, findings

__all__ = ["Files", "blamed", "findings"]
