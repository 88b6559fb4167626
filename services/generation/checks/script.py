"""Reads JavaScript and JSON: what does not parse, and which modules a script loads."""

from __future__ import annotations

import json
from functools import cache

import tree_sitter_javascript
from tree_sitter import Language, Node, Parser, Query, QueryCursor

from services.generation.checks.reading import Reading, Reference

_RULE = "js-syntax"
_MOST_PROBLEMS = 3
_MOST_SHOWN = 40
# JSX belongs to the grammar, but no browser runs it.
_WANTED = """
(ERROR) @error
(MISSING) @missing
[(jsx_element) (jsx_self_closing_element)] @jsx
(import_statement source: (string) @module)
(export_statement source: (string) @module)
"""


@cache
def _grammar() -> tuple[Parser, Query]:
    language = Language(tree_sitter_javascript.language())
    return Parser(language), Query(language, _WANTED)


def read_script(text: str) -> Reading:
    """A script or a module."""
    parser, query = _grammar()
    reading = Reading(scripts=[text])
    tree = parser.parse(text.encode())
    found = QueryCursor(query).captures(tree.root_node)
    for node in found.get("jsx", [])[:1]:
        reading.problem(_RULE, "A browser can't run JSX.", _line(node))
    wrong = [*found.get("error", []), *found.get("missing", [])]
    for node in sorted(wrong, key=lambda node: node.start_byte)[:_MOST_PROBLEMS]:
        reading.problem(_RULE, _complaint(node), _line(node))
    if tree.root_node.has_error and not reading.problems:
        reading.problem(_RULE, "The script does not parse.", 1)
    for node in found.get("module", []):
        module = (node.text or b"").decode(errors="replace")[1:-1]
        # A bare name is looked up in the page's import map.
        if module.startswith(("./", "../", "/")):
            reading.references.append(Reference(module, _line(node)))
    return reading


def read_json(text: str) -> Reading:
    """A JSON text."""
    reading = Reading()
    try:
        json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as exc:
        reading.problem("json-syntax", f"This is not JSON: {exc.msg}.", exc.lineno)
    except (ValueError, RecursionError) as exc:
        reading.problem("json-syntax", f"This is not JSON: {exc}."[:200], 1)
    return reading


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


def _complaint(node: Node) -> str:
    if node.is_missing:
        return f"{node.type!r} is missing."
    text = (node.text or b"").decode(errors="replace").strip().partition("\n")[0]
    shown = text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
    return f"Syntax error near {shown!r}."


def _line(node: Node) -> int:
    return node.start_point.row + 1
