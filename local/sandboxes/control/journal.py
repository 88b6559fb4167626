"""A sandbox's log as the vendor's two routes answer it: filtered, ordered, limited."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from local.sandboxes.errors import InvalidError
from local.sandboxes.logs import Level, Log, LogEntry

_MAX_LIMIT = 1000
_LATEST_MILLISECONDS = 1 << 53

Query = dict[str, list[str]]


@dataclass(frozen=True)
class _Wanted:
    """Which entries: from ``cursor`` (seconds since 1970) on, or before it when ``backward``."""

    limit: int
    cursor: float | None
    backward: bool = False
    level: Level = Level.DEBUG
    search: str = ""


def first_version(log: Log, query: Query) -> dict[str, Any]:
    """The answer of ``/sandboxes/{id}/logs``: from ``start`` (ms) on, ``limit`` at most.

    Raises InvalidError that names the parameter.
    """
    wanted = _Wanted(limit=_limit(query), cursor=_moment(query, "start"))
    found = list(_chosen(log, wanted))
    return {
        "logs": [{"timestamp": _time(one), "line": _line(one)} for one in found],
        "logEntries": [_entry(one) for one in found],
    }


def second_version(log: Log, query: Query) -> dict[str, Any]:
    """The answer of ``/v2/sandboxes/{id}/logs``.

    ``cursor`` (ms), ``limit``, ``direction`` (forward; backward is what is older than the cursor,
    the newest first), ``level`` (the least that counts) and ``search`` (a piece of the message).
    Raises InvalidError that names the parameter.
    """
    levels = {one.name.lower(): one for one in Level}
    wanted = _Wanted(
        limit=_limit(query),
        cursor=_moment(query, "cursor"),
        backward=_one_of(query, "direction", ["forward", "backward"]) == "backward",
        level=levels[_one_of(query, "level", list(levels))],
        search=_given(query, "search"),
    )
    return {"logs": [_entry(one) for one in _chosen(log, wanted)]}


def _chosen(log: Log, wanted: _Wanted) -> Iterator[LogEntry]:
    entries = reversed(log) if wanted.backward else iter(log)
    return itertools.islice((one for one in entries if _fits(one, wanted)), wanted.limit)


def _fits(entry: LogEntry, wanted: _Wanted) -> bool:
    if entry.level < wanted.level or wanted.search not in entry.message:
        return False
    if wanted.cursor is None:
        return True
    return entry.at < wanted.cursor if wanted.backward else entry.at >= wanted.cursor


def _entry(entry: LogEntry) -> dict[str, Any]:
    return {
        "timestamp": _time(entry),
        "level": entry.level.name.lower(),
        "message": entry.message,
        "fields": entry.fields,
    }


def _line(entry: LogEntry) -> str:
    """One line of JSON, which is what readers of the first version parse."""
    level = entry.level.name.lower()
    return json.dumps({**entry.fields, "level": level, "message": entry.message})


def _time(entry: LogEntry) -> str:
    moment = datetime.fromtimestamp(entry.at, UTC)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _given(query: Query, name: str) -> str:
    return query.get(name, [""])[0]


def _limit(query: Query) -> int:
    found = _number(_given(query, "limit") or str(_MAX_LIMIT))
    if found is None or found > _MAX_LIMIT:
        raise InvalidError(f"limit: must be from 0 to {_MAX_LIMIT}")
    return found


def _moment(query: Query, name: str) -> float | None:
    """Milliseconds since 1970 as seconds."""
    text = _given(query, name)
    if not text:
        return None
    found = _number(text)
    if found is None or found > _LATEST_MILLISECONDS:
        raise InvalidError(f"{name}: must be milliseconds since 1970")
    return found / 1000


def _number(text: str) -> int | None:
    """A whole number that is none below 0; None for anything else."""
    return int(text) if len(text) < 20 and text.isascii() and text.isdigit() else None


def _one_of(query: Query, name: str, values: list[str]) -> str:
    """The parameter's value, the first of ``values`` when it is not given."""
    text = _given(query, name) or values[0]
    if text not in values:
        raise InvalidError(f"{name}: must be one of {', '.join(values)}")
    return text
