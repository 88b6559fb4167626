"""Sandboxes that are paused on disk: their files and all that has to be known to run them again."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from pydantic import TypeAdapter, ValidationError

from local.sandboxes.model import Identity, Order
from local.sandboxes.records import Records
from local.sandboxes.sandbox import Sandbox

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Parked:
    """One of them. ``interrupted``: it ran when the engine stopped, and runs again when it is used.

    ``ends_at``: seconds since 1970 when it is over, None for one that is kept.
    """

    identity: Identity
    order: Order
    template: str
    interrupted: bool
    ends_at: float | None


_FORM = TypeAdapter(Parked)


class Parking:
    """The records of one engine."""

    def __init__(self, folder: Path) -> None:
        self._records = Records(folder)

    def tree(self, sandbox_id: str) -> Path:
        """Where the files of a sandbox lie, or are to be put."""
        return self._records.tree(sandbox_id)

    def put(self, sandbox: Sandbox, *, interrupted: bool, ends_at: float | None) -> None:
        """Keep a sandbox whose tree is written; it survives the engine from now on."""
        parked = Parked(
            sandbox.identity, sandbox.order, sandbox.template.name, interrupted, ends_at
        )
        value: dict[str, Any] = _FORM.dump_python(parked, mode="json")
        self._records.put(sandbox.sandbox_id, value)

    def drop(self, sandbox_id: str) -> None:
        """Forget a sandbox and its files."""
        self._records.drop(sandbox_id)

    def load(self) -> list[Parked]:
        """Those that an earlier engine kept and whose time is not over; the others are removed."""
        found = []
        for name, value in self._records.load().items():
            try:
                parked = _FORM.validate_python(value)
            except ValidationError as exc:
                log.warning("unreadable record of a sandbox", sandbox=name, why=str(exc))
                continue
            if parked.ends_at is not None and parked.ends_at <= time.time():
                self._records.drop(name)
            else:
                found.append(parked)
        return found
