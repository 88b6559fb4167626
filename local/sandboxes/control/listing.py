"""The list of sandboxes: filtered, ordered, a page at a time."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from local.sandboxes.errors import InvalidError
from local.sandboxes.sandbox import Sandbox

_MAX_PAGE = 100
_STATES = ("running", "paused")


@dataclass(frozen=True)
class Query:
    """What a caller wants to see."""

    metadata: dict[str, str]
    states: frozenset[str]
    oldest_first: bool
    limit: int
    after: str


def parse(query: dict[str, list[str]]) -> Query:
    """From the URL's query; raises InvalidError that names the parameter."""
    states = [one for value in query.get("state", []) for one in value.split(",") if one]
    if unknown := set(states) - set(_STATES):
        raise InvalidError(f"state: unknown value {min(unknown)!r}")
    limit = query.get("limit", [str(_MAX_PAGE)])[0]
    if not limit.isdigit() or not 1 <= int(limit) <= _MAX_PAGE:
        raise InvalidError(f"limit: must be from 1 to {_MAX_PAGE}")
    return Query(
        metadata=_metadata(query.get("metadata", [""])[0]),
        states=frozenset(states or _STATES),
        oldest_first=query.get("order", ["desc"])[0] == "asc",
        limit=int(limit),
        after=_decode(query.get("nextToken", [""])[0]),
    )


def page(sandboxes: list[Sandbox], query: Query) -> tuple[list[Sandbox], str]:
    """One page, and the token of the next one (empty at the end)."""
    wanted = [one for one in sandboxes if _fits(one, query)]
    wanted.sort(key=_position, reverse=not query.oldest_first)
    if query.after:
        wanted = [one for one in wanted if _is_beyond(one, query)]
    found = wanted[: query.limit]
    more = len(wanted) > query.limit
    token = base64.urlsafe_b64encode(_position(found[-1]).encode()).decode() if more else ""
    return found, token


def _fits(sandbox: Sandbox, query: Query) -> bool:
    if sandbox.state.value not in query.states:
        return False
    return query.metadata.items() <= sandbox.order.metadata.items()


def _is_beyond(sandbox: Sandbox, query: Query) -> bool:
    position = _position(sandbox)
    return position > query.after if query.oldest_first else position < query.after


def _position(sandbox: Sandbox) -> str:
    """Where a sandbox stands in the order, also after others have come and gone."""
    return f"{sandbox.identity.started_at.timestamp():020.6f}/{sandbox.sandbox_id}"


def _decode(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token.encode()).decode()
    except (binascii.Error, UnicodeError) as exc:
        raise InvalidError("nextToken: is not one that this engine gave") from exc


def _metadata(text: str) -> dict[str, str]:
    """``key=value&…``, of which the SDK encodes key and value once more."""
    return {unquote(key): unquote(value) for key, value in parse_qsl(text, keep_blank_values=True)}
