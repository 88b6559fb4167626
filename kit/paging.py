"""Page sizes and page tokens (AIP-158): a token holds the position after which the next page begins."""

from __future__ import annotations

import base64
import binascii

import orjson

from kit.errors import Invalid


def page_size(asked: int, default: int, most: int) -> int:
    """How many rows a page has: the default for 0, never more than ``most``."""
    return min(asked, most) if asked else default


def page_token(*position: str | int) -> str:
    """An opaque token for a position."""
    return base64.urlsafe_b64encode(orjson.dumps(position)).decode().rstrip("=")


def page_position(token: str, *kinds: type) -> list[str] | list[int] | None:
    """The position of a token, ``None`` for the first page.

    Raises ``Invalid`` for a token that was not made by us.
    """
    if not token:
        return None
    try:
        found = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (binascii.Error, ValueError) as exc:
        raise Invalid.field("page_token", "is not a token that this server gave") from exc
    if not isinstance(found, list) or [type(part) for part in found] != list(kinds):
        raise Invalid.field("page_token", "is not a token that this server gave")
    if any(isinstance(part, str) and "\x00" in part for part in found):
        raise Invalid.field("page_token", "is not a token that this server gave")
    return found
