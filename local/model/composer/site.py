"""The files of a site, in the order in which they are written."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Site:
    """`files` maps a relative path to its text; `name` is what the site calls itself."""

    name: str
    noun: str
    files: Mapping[str, str]
    about: str
