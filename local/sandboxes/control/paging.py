"""Lists a page at a time: a page begins beyond a position, which stays good as items come and go."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import TypeVar

from local.sandboxes.asgi import Headers
from local.sandboxes.errors import InvalidError

MAX_PAGE = 100
ItemT = TypeVar("ItemT")


def page(
    items: Sequence[ItemT],
    position: Callable[[ItemT], str],
    query: dict[str, list[str]],
    *,
    oldest_first: bool = False,
) -> tuple[list[ItemT], Headers]:
    """One page of ``items`` in the order of their positions, and the header that leads to the next.

    Raises InvalidError that names the query's parameter.
    """
    limit, after = _limit(query), _after(query)
    ordered = sorted(items, key=position, reverse=not oldest_first)
    if after:
        ordered = [
            one
            for one in ordered
            if (position(one) > after if oldest_first else position(one) < after)
        ]
    found = ordered[:limit]
    if len(ordered) <= limit:
        return found, []
    token = base64.urlsafe_b64encode(position(found[-1]).encode())
    return found, [(b"x-next-token", token)]


def _limit(query: dict[str, list[str]]) -> int:
    text = query.get("limit", [str(MAX_PAGE)])[0]
    if not (text.isascii() and text.isdigit() and len(text) < 6) or not 1 <= int(text) <= MAX_PAGE:
        raise InvalidError(f"limit: must be from 1 to {MAX_PAGE}")
    return int(text)


def _after(query: dict[str, list[str]]) -> str:
    try:
        return base64.urlsafe_b64decode(query.get("nextToken", [""])[0].encode()).decode()
    except (binascii.Error, UnicodeError) as exc:
        raise InvalidError("nextToken: is not one that this engine gave") from exc
