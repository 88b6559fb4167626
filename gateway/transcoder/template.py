"""Path templates: the grammar of google/api/http.proto.

Template  = "/" Segments [ Verb ]        Segment  = "*" | "**" | LITERAL | Variable
Segments  = Segment { "/" Segment }      Variable = "{" FieldPath [ "=" Segments ] "}"
Verb      = ":" LITERAL                  FieldPath = IDENT { "." IDENT }
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from gateway.transcoder.errors import ContractError

ANY = "*"
REST = "**"

_IDENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LITERAL = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()+,;@]|%[0-9A-Fa-f]{2})+")


@dataclass(frozen=True)
class Segment:
    """One segment: a wildcard, or a literal in its decoded form (which may itself read ``*``)."""

    kind: str  # ANY, REST or "literal"
    text: str = ""

    def __str__(self) -> str:
        return self.text if self.kind == "literal" else self.kind


@dataclass(frozen=True)
class Variable:
    """A capture: the segments ``start`` up to ``stop`` of the path go to the field ``path``."""

    path: tuple[str, ...]
    start: int
    stop: int | None  # None: up to the end of the path, for a template that ends in **
    multi: bool  # whether it spans several segments, so that an encoded slash stays encoded

    @property
    def name(self) -> str:
        """The dotted field path, as the template spells it."""
        return ".".join(self.path)


@dataclass(frozen=True)
class Template:
    """A parsed template."""

    source: str
    segments: tuple[Segment, ...]
    variables: tuple[Variable, ...]
    verb: str = ""

    @property
    def shape(self) -> tuple[tuple[Segment, ...], str]:
        """What two templates share when they match the same URLs at the same rank."""
        return self.segments, self.verb


def parse_template(source: str) -> Template:
    """Parses ``source``; raises ContractError with the place where the grammar is left."""
    return _Parser(source).template()


class _Parser:
    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._segments: list[Segment] = []
        self._variables: list[Variable] = []

    def template(self) -> Template:
        self._expect("/")
        self._run_of_segments(in_variable=False)
        verb = ""
        if self._take(":"):
            verb = unquote(self._match(_LITERAL, "a verb"))
        if self._at != len(self._source):
            raise self._error("something that is no part of a template")
        self._check()
        return Template(self._source, tuple(self._segments), tuple(self._variables), verb)

    def _check(self) -> None:
        if any(segment.kind == REST for segment in self._segments[:-1]):
            raise ContractError(f"path template {self._source!r}: ** may only be the last segment")
        names = [variable.name for variable in self._variables]
        if len(set(names)) != len(names):
            raise ContractError(f"path template {self._source!r}: a variable is bound twice")

    def _run_of_segments(self, *, in_variable: bool) -> None:
        self._segment(in_variable=in_variable)
        while self._take("/"):
            self._segment(in_variable=in_variable)

    def _segment(self, *, in_variable: bool) -> None:
        if self._take("**"):
            self._segments.append(Segment(REST))
        elif self._take("*"):
            self._segments.append(Segment(ANY))
        elif self._peek() == "{":
            if in_variable:
                raise self._error("a variable inside a variable")
            self._variable()
        else:
            literal = self._match(_LITERAL, "a segment")
            self._segments.append(Segment("literal", unquote(literal)))

    def _variable(self) -> None:
        self._expect("{")
        path = [self._match(_IDENT, "a field name")]
        while self._take("."):
            path.append(self._match(_IDENT, "a field name"))
        start = len(self._segments)
        if self._take("="):
            self._run_of_segments(in_variable=True)
        else:
            self._segments.append(Segment(ANY))
        self._expect("}")
        spanned = self._segments[start:]
        open_end = spanned[-1].kind == REST
        self._variables.append(
            Variable(
                path=tuple(path),
                start=start,
                stop=None if open_end else len(self._segments),
                multi=open_end or len(spanned) > 1,
            )
        )

    def _peek(self) -> str:
        return self._source[self._at : self._at + 1]

    def _take(self, token: str) -> bool:
        if not self._source.startswith(token, self._at):
            return False
        self._at += len(token)
        return True

    def _expect(self, token: str) -> None:
        if not self._take(token):
            raise self._error(f"{self._peek() or 'the end'!r} where {token!r} must stand")

    def _match(self, pattern: re.Pattern[str], what: str) -> str:
        found = pattern.match(self._source, self._at)
        if found is None:
            raise self._error(f"{self._peek() or 'the end'!r} where {what} must stand")
        self._at = found.end()
        return found.group()

    def _error(self, what: str) -> ContractError:
        return ContractError(f"path template {self._source!r}, character {self._at + 1}: {what}")
