"""A message that reports what a check of the files has found, told apart from a new request."""

import re

# How such a message begins, whoever words it.
_OPENING = re.compile(
    r"^\W*(?:[\w -]*\b)?(?:check(?:s|er|ed|_report)?|findings?|problems?|review)\b", re.IGNORECASE
)
_PATH = re.compile(r"(?<![\w./-])((?:[\w.@+-]+/)*[\w@+-][\w.@+-]*\.(?:html|css|js|svg))(?![\w/])")
_LISTED = re.compile(r"^\s*(?:[-*•]|\d+[.)]|[\w.@/+-]+\.(?:html|css|js|svg)\b)")


def findings(text: str) -> tuple[str, ...] | None:
    """The paths that a report names, or None when `text` is no report.

    A report is several lines: the first says that something was checked, and later ones each begin with
    a bullet, a number or a path and name a file.
    """
    first, _, rest = text.strip().partition("\n")
    if not _OPENING.match(first):
        return None
    return paths(rest) or None


def paths(text: str) -> tuple[str, ...]:
    """The first path of each line of a list in `text`."""
    named = [_PATH.findall(line) for line in text.splitlines() if _LISTED.match(line)]
    return tuple(dict.fromkeys(found[0] for found in named if found))
