"""From a method and a raw path to a route: a trie, searched from the most specific branch on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import unquote

from gateway.transcoder.errors import ContractError, invalid
from gateway.transcoder.percent import decode, decode_keeping_slash
from gateway.transcoder.template import ANY, REST, Template, Variable

T = TypeVar("T")

ANY_METHOD = "*"


@dataclass(frozen=True)
class Match(Generic[T]):
    """A found route and the raw segments (verb removed) from which its variables are cut."""

    route: T
    template: Template
    segments: tuple[str, ...]

    def values(self) -> list[str]:
        """The variables' values, in the template's order. Raises HttpError 400 on bad escapes."""
        return [_value(variable, self.segments) for variable in self.template.variables]


def _value(variable: Variable, segments: tuple[str, ...]) -> str:
    raw = segments[variable.start : variable.stop]
    try:
        if variable.multi:
            return "/".join(decode_keeping_slash(segment) for segment in raw)
        return decode(raw[0])
    except ValueError as exc:
        raise invalid(f"the path is not valid: {exc}", (variable.name, str(exc))) from exc


@dataclass
class _Node(Generic[T]):
    literals: dict[str, _Node[T]] = field(default_factory=dict)
    any: _Node[T] | None = None
    rest: _Node[T] | None = None
    # by verb, then by HTTP method
    routes: dict[str, dict[str, tuple[T, Template]]] = field(default_factory=dict)


class Router(Generic[T]):
    """Precompiled routes. At each segment a literal goes before ``*``, and that before ``**``."""

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()

    def add(self, method: str, template: Template, route: T) -> None:
        """Adds a route; raises ContractError where the same method and shape is taken."""
        node = self._root
        for segment in template.segments:
            if segment.kind == ANY:
                node.any = node.any or _Node()
                node = node.any
            elif segment.kind == REST:
                node.rest = node.rest or _Node()
                node = node.rest
            else:
                node = node.literals.setdefault(segment.text, _Node())
        methods = node.routes.setdefault(template.verb, {})
        if method in methods:
            taken, other = methods[method]
            raise ContractError(
                f"{method} {template.source} of {route} and {method} {other.source} of {taken} "
                "match the same URLs"
            )
        methods[method] = (route, template)

    def match(self, method: str, raw_path: str) -> Match[T] | None:
        """The most specific route; a registered verb goes before a colon in a value."""
        for segments, verb in _readings(raw_path):
            found = _find(self._root, segments, 0, verb, method)
            if found is not None:
                return Match(found[0], found[1], segments)
        return None

    def allowed(self, raw_path: str) -> list[str]:
        """The methods that would match the path, sorted; empty where no route has it."""
        found: set[str] = set()
        for segments, verb in _readings(raw_path):
            _collect(self._root, segments, 0, verb, found)
        return sorted(found)


def _readings(raw_path: str) -> list[tuple[tuple[str, ...], str]]:
    """The ways to read a path: with the last colon as a verb's, then without."""
    segments = tuple(raw_path.split("/")[1:])
    if not segments:
        return []
    plain = (segments, "")
    base, colon, verb = segments[-1].rpartition(":")
    if not colon or not verb:
        return [plain]
    return [((*segments[:-1], base), unquote(verb)), plain]


def _literal(raw: str) -> str:
    return unquote(raw) if "%" in raw else raw


def _find(
    node: _Node[T], segments: tuple[str, ...], at: int, verb: str, method: str
) -> tuple[T, Template] | None:
    if at == len(segments):
        methods = node.routes.get(verb)
        if methods is not None:
            found = methods.get(method) or methods.get(ANY_METHOD)
            if found is not None:
                return found
    else:
        branch = node.literals.get(_literal(segments[at]))
        if branch is not None:
            found = _find(branch, segments, at + 1, verb, method)
            if found is not None:
                return found
        if node.any is not None and segments[at]:
            found = _find(node.any, segments, at + 1, verb, method)
            if found is not None:
                return found
    if node.rest is not None:
        return _find(node.rest, segments, len(segments), verb, method)
    return None


def _collect(
    node: _Node[T], segments: tuple[str, ...], at: int, verb: str, found: set[str]
) -> None:
    if at == len(segments):
        found.update(node.routes.get(verb, {}))
    else:
        branch = node.literals.get(_literal(segments[at]))
        if branch is not None:
            _collect(branch, segments, at + 1, verb, found)
        if node.any is not None and segments[at]:
            _collect(node.any, segments, at + 1, verb, found)
    if node.rest is not None and node.rest is not node:
        found.update(node.rest.routes.get(verb, {}))
