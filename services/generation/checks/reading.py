"""What one file says, as far as it can be told from the file alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto


class Kind(Enum):
    """What a reference is for."""

    LINK = auto()
    """Somebody follows it."""
    ASSET = auto()
    """The browser loads it."""


@dataclass(frozen=True, slots=True)
class Reference:
    """An address that a file names, as it is written there."""

    url: str
    line: int
    kind: Kind = Kind.ASSET


@dataclass(frozen=True, slots=True)
class IdReference:
    """An id of the same page that an attribute names."""

    target: str
    attribute: str
    line: int


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with the file itself."""

    rule: str
    message: str
    line: int


@dataclass(slots=True)
class Reading:
    """One file. Lines count from 1; 0 where a line is not known."""

    problems: list[Problem] = field(default_factory=list)
    references: list[Reference] = field(default_factory=list)
    ids: dict[str, int] = field(default_factory=dict)
    """Where each id, and each name of an old anchor, stands first."""
    id_references: list[IdReference] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)
    """Scripts that stand in the file: what they make can't be known, but what they name can."""
    base: str = ""
    """What the file's references are relative to, where it says so itself."""

    def problem(self, rule: str, message: str, line: int = 0) -> None:
        """Notes a problem."""
        self.problems.append(Problem(rule, message, line))

    def include(self, part: Reading, line: int) -> None:
        """Takes over what was read in a part that begins in this line of the file."""
        shift = line - 1
        for problem in part.problems:
            self.problem(problem.rule, problem.message, problem.line + shift)
        for found in part.references:
            self.references.append(Reference(found.url, found.line + shift, found.kind))
