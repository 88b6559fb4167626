"""Who has lost its lease on a generation writes nothing any more."""

from __future__ import annotations

from kit.errors import Conflict
from services.sandbox.model import Origin
from services.sandbox.writing_repository import WritingRepository


async def fence(repository: WritingRepository, project_id: str, origin: Origin) -> None:
    """Raises ``Conflict`` (STALE_EPOCH) where another worker has written with a higher lease number."""
    if not origin.generation_id:
        return
    seen = await repository.highest_epoch(project_id, origin.generation_id, origin.epoch)
    if origin.epoch < seen:
        raise Conflict(
            "another worker has taken over this generation",
            reason="STALE_EPOCH",
            metadata={"epoch": str(origin.epoch), "seen": str(seen)},
        )
