"""What sandboxes are made of: this engine's templates, and snapshots that are named like them."""

from __future__ import annotations

from pathlib import Path

import structlog

from local.sandboxes import errors
from local.sandboxes.pool import Pool
from local.sandboxes.snapshots import DEFAULT_TAG, Snapshot, Snapshots, split
from local.sandboxes.templates import BASE, Template

log = structlog.get_logger(__name__)


class Sources:
    """One set of names for both; a template's comes first."""

    def __init__(self, pools: dict[str, Pool], snapshots: Snapshots) -> None:
        self._pools = pools
        self._snapshots = snapshots

    def of(self, reference: str) -> tuple[Template, Path | None]:
        """A template, and a snapshot's files instead of its own; raises NotFoundError."""
        name, tag = split(reference)
        pool = self._pools.get(name)
        if pool is not None and tag in (DEFAULT_TAG, "latest"):
            return pool.template, None
        snapshot = self._snapshots.resolve(reference)
        if snapshot is None:
            raise errors.NotFoundError(
                f"template '{reference}' not found: this engine has {', '.join(self._pools)}"
            )
        return self.template(snapshot.template), self._snapshots.tree(snapshot)

    def template(self, name: str) -> Template:
        """The template whose start command files of it go with; the base where it is gone."""
        return self._pools.get(name, self._pools[BASE]).template

    def template_id(self, reference: str) -> str:
        """The id of a template or snapshot; raises NotFoundError."""
        template, tree = self.of(reference)
        return template.name if tree is None else split(reference)[0]

    def refuse_taken(self, name: str) -> None:
        """Raises InvalidError where a snapshot would have a template's name."""
        if split(name)[0] in self._pools:
            raise errors.InvalidError(f"name: '{name}' is a template of this engine's")

    def snapshots(self, sandbox_id: str = "", name: str = "") -> list[Snapshot]:
        """Those of one sandbox or name, the newest first."""
        return self._snapshots.all(sandbox_id, name)

    def delete(self, reference: str) -> None:
        """Forget a snapshot; raises NotFoundError, ConflictError for a template of the engine's own."""
        if self._snapshots.delete(reference):
            log.info("snapshot deleted", snapshot=reference)
        elif split(reference)[0] in self._pools:
            raise errors.ConflictError(f"template '{reference}' is a folder of this engine's")
        else:
            raise errors.NotFoundError(f"template '{reference}' not found")
