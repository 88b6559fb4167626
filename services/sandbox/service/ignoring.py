"""What lies in a project's folder and is not the project: what tools install, remember or leave behind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Self


@dataclass(frozen=True, slots=True)
class Ignored:
    """Names, as shells match them, of files and folders that are left alone with all that is in them."""

    patterns: tuple[str, ...]

    @classmethod
    def of(cls, listed: str) -> Self:
        """From a list with commas."""
        return cls(tuple(one for one in (part.strip() for part in listed.split(",")) if one))

    def covers(self, path: str) -> bool:
        """Whether a path, relative to the project's folder, is left alone."""
        return any(self._names(segment) for segment in path.split("/"))

    def beside(self, paths: Iterable[str]) -> Self:
        """As this one, without what would leave out one of these paths: the store has them."""
        segments = {segment for path in paths for segment in path.split("/")}
        kept = (
            pattern
            for pattern in self.patterns
            if not any(fnmatchcase(one, pattern) for one in segments)
        )
        return type(self)(tuple(kept))

    def _names(self, segment: str) -> bool:
        return any(fnmatchcase(segment, pattern) for pattern in self.patterns)
