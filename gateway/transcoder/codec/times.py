"""Timestamp, Duration and FieldMask: messages that are strings in JSON."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from gateway.transcoder.codec.interface import JsonError

_TIMESTAMP = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", re.ASCII
)
_DURATION = re.compile(r"(-?)(\d+)(?:\.(\d{1,9}))?s", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_SECOND, _LAST_SECOND = -62135596800, 253402300799
_LONGEST = 315576000000  # seconds, 10,000 years

_UPPER = re.compile(r"[A-Z]")
_UNDERSCORE = re.compile(r"_([a-z])")


def _fraction(nanos: int) -> str:
    """Three, six or nine digits, or none."""
    if not nanos:
        return ""
    if nanos % 1_000_000 == 0:
        return f".{nanos // 1_000_000:03d}"
    if nanos % 1_000 == 0:
        return f".{nanos // 1_000:06d}"
    return f".{nanos:09d}"


def timestamp_to_json(message: Any) -> str:
    """RFC 3339 in UTC."""
    seconds, nanos = message.seconds, message.nanos
    if not _FIRST_SECOND <= seconds <= _LAST_SECOND or not 0 <= nanos < 1_000_000_000:
        raise JsonError("is not a time between the years 1 and 9999")
    moment = (_EPOCH + timedelta(seconds=seconds)).replace(tzinfo=None)
    return f"{moment.isoformat()}{_fraction(nanos)}Z"


def timestamp_from_json(value: Any, message: Any) -> None:
    """RFC 3339 with any offset."""
    found = _TIMESTAMP.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise JsonError('must be an RFC 3339 time such as "2026-01-31T12:00:00Z"')
    *parts, fraction, offset = found.groups()
    try:
        year, month, day, hour, minute, second = map(int, parts)
        moment = datetime(year, month, day, hour, minute, second, tzinfo=_zone(offset))
        seconds = (moment - _EPOCH) // timedelta(seconds=1)
    except (ValueError, OverflowError) as exc:
        raise JsonError(f"is not a time: {exc}") from exc
    if not _FIRST_SECOND <= seconds <= _LAST_SECOND:
        raise JsonError("is not a time between the years 1 and 9999")
    message.seconds = seconds
    message.nanos = int((fraction or "").ljust(9, "0"))


def _zone(offset: str) -> timezone:
    if offset == "Z":
        return UTC
    hours, minutes = int(offset[1:3]), int(offset[4:6])
    span = timedelta(hours=hours, minutes=minutes)
    return timezone(-span if offset[0] == "-" else span)


def duration_to_json(message: Any) -> str:
    """Seconds with a fraction and an s."""
    seconds, nanos = message.seconds, message.nanos
    if abs(seconds) > _LONGEST or abs(nanos) > 999_999_999 or seconds * nanos < 0:
        raise JsonError("is not a duration")
    sign = "-" if seconds < 0 or nanos < 0 else ""
    return f"{sign}{abs(seconds)}{_fraction(abs(nanos))}s"


def duration_from_json(value: Any, message: Any) -> None:
    """Seconds such as ``1.5s``."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise JsonError('must be a duration such as "1.5s"')
    minus, whole, fraction = found.groups()
    if len(whole) > 12 or int(whole) > _LONGEST:
        raise JsonError(f"must not be longer than {_LONGEST}s")
    sign = -1 if minus else 1
    message.seconds = sign * int(whole)
    message.nanos = sign * int((fraction or "").ljust(9, "0"))


def mask_to_json(message: Any) -> str:
    """Comma-separated paths in lowerCamelCase."""
    return ",".join(_camel(path) for path in message.paths)


def _camel(path: str) -> str:
    camel = _UNDERSCORE.sub(lambda found: found[1].upper(), path)
    if _UPPER.search(path) or "_" in camel:
        raise JsonError(f"has a path that cannot be printed: {path}")
    return camel


def mask_from_json(value: Any, message: Any) -> None:
    """Comma-separated paths in lowerCamelCase or as the proto spells them."""
    if not isinstance(value, str):
        raise JsonError('must be a string of field paths such as "name,owner.email"')
    paths = [path.strip() for path in value.split(",")] if value else []
    message.paths.extend(_UPPER.sub(lambda found: "_" + found[0].lower(), path) for path in paths)
