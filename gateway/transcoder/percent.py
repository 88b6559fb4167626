"""Percent-decoding that refuses what it does not understand."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

_BROKEN = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SLASH = re.compile(r"(%2[Ff])")


def decode(raw: str) -> str:
    """Decodes everything. Raises ValueError on a broken escape and on bytes that are not UTF-8."""
    if "%" not in raw:
        return raw
    if _BROKEN.search(raw):
        raise ValueError("a percent sign must be followed by two hexadecimal digits")
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError as exc:
        raise ValueError("the percent-encoded bytes are not UTF-8") from exc


def decode_keeping_slash(raw: str) -> str:
    """Decodes all but an encoded slash, which inside a value of several segments is no separator."""
    if "%" not in raw:
        return raw
    return "".join(
        part if index % 2 else decode(part) for index, part in enumerate(_SLASH.split(raw))
    )


def decode_query(raw: str) -> str:
    """As ``decode``, for a query string: a plus sign is a space."""
    return decode(raw.replace("+", " "))
