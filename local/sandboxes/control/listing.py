"""The lists of sandboxes and of snapshots: filtered, ordered, a page at a time."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote

from local.sandboxes.asgi import Headers
from local.sandboxes.control.paging import page
from local.sandboxes.errors import InvalidError
from local.sandboxes.sandbox import Sandbox
from local.sandboxes.snapshots import Snapshot

_STATES = ("running", "paused")
_ORDERS = ("asc", "desc")


def sandboxes(found: list[Sandbox], query: dict[str, list[str]]) -> tuple[list[Sandbox], Headers]:
    """Those with all of the metadata and one of the states asked for; the newest first."""
    states = [one for value in query.get("state", []) for one in value.split(",") if one]
    if unknown := set(states) - set(_STATES):
        raise InvalidError(f"state: unknown value {min(unknown)!r}")
    order = query.get("order", ["desc"])[0]
    if order not in _ORDERS:
        raise InvalidError(f"order: must be one of {', '.join(_ORDERS)}")
    metadata = _metadata(query.get("metadata", [""])[0]).items()
    wanted = [
        one
        for one in found
        if one.state.value in (states or _STATES) and metadata <= one.order.metadata.items()
    ]
    return page(wanted, _sandbox_position, query, oldest_first=order == "asc")


def snapshots(found: list[Snapshot], query: dict[str, list[str]]) -> tuple[list[Snapshot], Headers]:
    """The newest first."""
    return page(found, _snapshot_position, query)


def _sandbox_position(sandbox: Sandbox) -> str:
    return f"{sandbox.identity.started_at.timestamp():020.6f}/{sandbox.sandbox_id}"


def _snapshot_position(snapshot: Snapshot) -> str:
    return f"{snapshot.created_at:020.6f}/{snapshot.key}"


def _metadata(text: str) -> dict[str, str]:
    """``key=value&…``, of which the SDK encodes key and value once more."""
    return {unquote(key): unquote(value) for key, value in parse_qsl(text, keep_blank_values=True)}
