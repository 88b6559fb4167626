"""Snapshots: file trees that sandboxes can be made from, kept until they are deleted."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import structlog
from pydantic import TypeAdapter, ValidationError

from local.sandboxes import errors
from local.sandboxes.model import new_id
from local.sandboxes.records import Records

log = structlog.get_logger(__name__)

NAMESPACE = "local"
DEFAULT_TAG = "default"
_NAME = re.compile(r"^[a-z0-9][a-z0-9_-]{0,127}$")
_TAG = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$")


@dataclass(frozen=True)
class Snapshot:
    """One snapshot: ``key`` is its own id, ``alias`` the name that it was given, or empty."""

    key: str
    alias: str
    tag: str
    sandbox_id: str
    template: str
    created_at: float

    @property
    def snapshot_id(self) -> str:
        """What a caller names it by."""
        return f"{self.alias or self.key}:{self.tag}"

    @property
    def names(self) -> list[str]:
        """Its full names; none for one without a name."""
        return [f"{NAMESPACE}/{self.alias}:{self.tag}"] if self.alias else []


_FORM = TypeAdapter(Snapshot)


class Snapshots:
    """The snapshots of one engine; ``limit`` is how many it keeps."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._records = Records(folder)
        self._limit = limit
        self._planned: set[str] = set()
        self._all = dict(_readable(self._records.load()))

    @contextlib.contextmanager
    def making(self, sandbox_id: str, template: str, name: str) -> Iterator[Snapshot]:
        """A snapshot to be made within, and checked already; raises InvalidError, ExhaustedError."""
        planned = self._plan(sandbox_id, template, name)
        self._planned.add(planned.key)
        try:
            yield planned
        finally:
            self._planned.discard(planned.key)

    def _plan(self, sandbox_id: str, template: str, name: str) -> Snapshot:
        alias, tag = split(name) if name else ("", DEFAULT_TAG)
        if alias and not _NAME.match(alias):
            raise errors.InvalidError("name: has up to 128 small letters, digits, - and _")
        if not _TAG.match(tag):
            raise errors.InvalidError("name: its tag has up to 128 letters, digits, -, _ and .")
        if self._find(alias, tag) is None and len(self._all) + len(self._planned) >= self._limit:
            raise errors.ExhaustedError(
                f"this engine keeps at most {self._limit} snapshots: delete some first"
            )
        return Snapshot(new_id("s"), alias, tag, sandbox_id, template, time.time())

    def tree(self, snapshot: Snapshot) -> Path:
        """Where its files lie, or are to be put."""
        return self._records.tree(snapshot.key)

    def put(self, snapshot: Snapshot) -> None:
        """Keep a snapshot whose tree is written; an older one of that name and tag goes away."""
        older = self._find(snapshot.alias, snapshot.tag)
        self._records.put(snapshot.key, asdict(snapshot))
        self._all[snapshot.key] = snapshot
        if older is not None:
            self._drop(older)

    def resolve(self, reference: str) -> Snapshot | None:
        """The snapshot of that id or name, with or without a tag."""
        alias, tag = split(reference)
        found = self._all.get(alias)
        return found if found is not None and found.tag == tag else self._find(alias, tag)

    def delete(self, reference: str) -> bool:
        """Whether there was one; sandboxes made from it live on."""
        found = self.resolve(reference)
        if found is not None:
            self._drop(found)
        return found is not None

    def all(self, sandbox_id: str, name: str) -> list[Snapshot]:
        """Those of a sandbox (or of all), with a name or id (or any); the newest first."""
        found = [one for one in self._all.values() if sandbox_id in ("", one.sandbox_id)]
        if name:
            alias, tag = split(name)
            tagged = ":" in name
            found = [
                one
                for one in found
                if alias in (one.alias, one.key) and (not tagged or one.tag == tag)
            ]
        return sorted(found, key=lambda one: (one.created_at, one.key), reverse=True)

    def _find(self, alias: str, tag: str) -> Snapshot | None:
        found = [
            one for one in self._all.values() if alias and (one.alias, one.tag) == (alias, tag)
        ]
        return max(found, key=lambda one: one.created_at, default=None)

    def _drop(self, snapshot: Snapshot) -> None:
        self._all.pop(snapshot.key, None)
        self._records.drop(snapshot.key)


def _readable(records: dict[str, dict[str, Any]]) -> Iterator[tuple[str, Snapshot]]:
    for key, value in records.items():
        try:
            yield key, _FORM.validate_python(value)
        except ValidationError as exc:
            log.warning("unreadable record of a snapshot", snapshot=key, why=str(exc))


def split(reference: str) -> tuple[str, str]:
    """``[local/]name[:tag]`` as name and tag."""
    name, _, tag = reference.removeprefix(f"{NAMESPACE}/").partition(":")
    return name, tag or DEFAULT_TAG
