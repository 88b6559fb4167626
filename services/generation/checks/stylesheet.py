"""Reads CSS: what does not parse, and what it loads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import tinycss2

from services.generation.checks.reading import Kind, Reading, Reference

_RULE = "css-syntax"
# Behind a sheet whose blocks, strings and comments are all closed, this is a rule of its own.
_SENTINEL = "sandwright-end"
_MOST_PROBLEMS = 10
_IMAGE_SETS = frozenset({"image-set", "-webkit-image-set"})


def read_stylesheet(text: str) -> Reading:
    """A whole style sheet."""
    reading = Reading()
    lines = text.count("\n") + 1
    rules = tinycss2.parse_stylesheet(
        f"{text}\n#{_SENTINEL}{{}}", skip_comments=True, skip_whitespace=True
    )
    last = rules[-1] if rules else None
    if last is not None and _prelude(last) == f"#{_SENTINEL}":
        rules.pop()
    else:
        reading.problem(
            "css-cut-off", "A block, a string or a comment is not closed before the end.", lines
        )
    _read_nodes(rules, reading)
    del reading.problems[_MOST_PROBLEMS:]
    return reading


def read_declarations(text: str) -> Reading:
    """What a style attribute holds."""
    reading = Reading()
    nodes = tinycss2.parse_blocks_contents(text, skip_comments=True, skip_whitespace=True)
    _read_nodes(nodes, reading)
    return reading


def read_value(text: str) -> Reading:
    """A value alone, as an attribute of SVG holds it."""
    reading = Reading()
    _read_values(tinycss2.parse_component_value_list(text), reading)
    return reading


def _read_nodes(nodes: Iterable[Any], reading: Reading) -> None:
    """Rules and declarations, with what is nested in them. A stack, because a model may nest without end."""
    waiting = list(nodes)[::-1]
    while waiting:
        node = waiting.pop()
        match node.type:
            case "error":
                message = "What stands here is no declaration and no rule."
                reading.problem(_RULE, message, node.source_line)
            case "qualified-rule":
                _read_prelude(node, reading)
                waiting += _contents(node.content)
            case "at-rule":
                _read_at_rule(node, reading)
                waiting += _contents(node.content or ())
            case "declaration":
                _read_values(node.value, reading)


def _contents(content: Iterable[Any]) -> list[Any]:
    nodes = tinycss2.parse_blocks_contents(content, skip_comments=True, skip_whitespace=True)
    return list(nodes)[::-1]


def _read_prelude(rule: Any, reading: Reading) -> None:
    """What stands before a block: a brace or a tag there is left over from something else."""
    for token in rule.prelude:
        if token.type == "error" or (token.type == "literal" and token.value == "<"):
            what = token.value if token.type == "literal" else getattr(token, "kind", "")
            reading.problem(_RULE, f"Unexpected {what!r} before a rule.", token.source_line)
            return


def _read_at_rule(rule: Any, reading: Reading) -> None:
    if rule.lower_at_keyword != "import":
        return
    for token in rule.prelude:
        if token.type == "string":
            reading.references.append(Reference(token.value, token.source_line, Kind.ASSET))
            return
        if token.type not in {"whitespace", "comment"}:
            break
    _read_values(rule.prelude, reading)


def _read_values(values: Iterable[Any], reading: Reading) -> None:
    for token in _tokens(values):
        if token.type == "url":
            reading.references.append(Reference(token.value, token.source_line))
        elif token.type == "error":
            reading.problem(_RULE, "A value has a broken string or url.", token.source_line)
        elif token.type == "function":
            named = token.lower_name == "url" or token.lower_name in _IMAGE_SETS
            strings = [one for one in token.arguments if one.type == "string"] if named else []
            reading.references += [Reference(one.value, one.source_line) for one in strings]


def _tokens(values: Iterable[Any]) -> Iterator[Any]:
    """All values, those inside of functions and brackets too."""
    waiting = list(values)[::-1]
    while waiting:
        token = waiting.pop()
        yield token
        inside = getattr(token, "arguments", None) or getattr(token, "content", None)
        if isinstance(inside, list):
            waiting += inside[::-1]


def _prelude(rule: Any) -> str:
    return tinycss2.serialize(rule.prelude).strip() if rule.type == "qualified-rule" else ""
