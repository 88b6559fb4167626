"""A folder of small JSON records, each with a file tree beside it: what outlives the engine."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import structlog

from local.sandboxes.errors import InternalError

log = structlog.get_logger(__name__)


class Records:
    """``<name>.json`` and ``<name>.tar`` in one folder that nobody else may read.

    The JSON is written last and removed first: a record is there as a whole or not at all.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        self._folder = folder

    def tree(self, name: str) -> Path:
        """Where the tree of a record lies."""
        return self._folder / f"{name}.tar"

    def put(self, name: str, value: dict[str, Any]) -> None:
        """Write a record whose tree is there already; raises InternalError."""
        path = self._folder / f"{name}.json"
        new = path.with_suffix(".new")
        try:
            new.touch(mode=0o600)
            new.write_text(json.dumps(value))
            new.replace(path)
        except OSError as exc:
            raise InternalError(f"the engine cannot keep a record: {exc.strerror}") from exc

    def drop(self, name: str) -> None:
        """Remove a record and its tree; one that is not there is none."""
        for path in (self._folder / f"{name}.json", self.tree(name)):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()

    def load(self) -> dict[str, dict[str, Any]]:
        """Every whole record. What was never one is removed; one that can't be read is left alone."""
        found: dict[str, dict[str, Any]] = {}
        for path in sorted(self._folder.glob("*.json")):
            try:
                if self.tree(path.stem).exists():
                    found[path.stem] = json.loads(path.read_text())
            except (OSError, ValueError) as exc:
                log.warning("unreadable record", path=str(path), why=str(exc))
        for path in (*self._folder.glob("*.tar"), *self._folder.glob("*.new")):
            if path.suffix == ".new" or not path.with_suffix(".json").exists():
                path.unlink(missing_ok=True)
        return found
