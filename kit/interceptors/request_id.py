"""Every call has an id: the caller's, where it gives a sane one, or a new one. Log lines carry it and peers get it."""

from __future__ import annotations

import re

from kit.context import request_id
from kit.ids import new_id
from kit.metadata import REQUEST_ID

_SANE = re.compile(r"[A-Za-z0-9_.:/-]{1,128}\Z")


def adopt(metadata: dict[str, str | bytes]) -> str:
    """Sets the call's id for the rest of this task and returns it."""
    given = metadata.get(REQUEST_ID, "")
    found = given if isinstance(given, str) and _SANE.match(given) else new_id("req")
    request_id.set(found)
    return found
