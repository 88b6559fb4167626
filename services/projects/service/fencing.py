"""Who may still write for a generation: the newest holder of its lease, until it has committed."""

from __future__ import annotations

from kit.errors import Conflict
from services.projects.model import Origin
from services.projects.repository.writes import Fence, WritesRepository


async def passed(writes: WritesRepository, origin: Origin) -> Fence | None:
    """How far the writing generation has come; ``None`` where no generation writes.

    Raises ``Conflict`` (STALE_EPOCH) for a lease number below one that was seen.
    """
    if not origin.generation_id:
        return None
    fence = await writes.fence(origin.generation_id, origin.epoch)
    if origin.epoch < fence.epoch:
        raise _stale(origin, fence.epoch)
    return fence


def check_open(fence: Fence | None, origin: Origin) -> None:
    """A write that was under way when its own worker committed comes too late.

    Raises ``Conflict`` (STALE_EPOCH).
    """
    if fence and fence.committed_epoch is not None and origin.epoch <= fence.committed_epoch:
        raise _stale(origin, fence.committed_epoch)


def _stale(origin: Origin, seen: int) -> Conflict:
    return Conflict(
        "another worker has taken over this generation, or it has ended",
        reason="STALE_EPOCH",
        metadata={"epoch": str(origin.epoch), "seen": str(seen)},
    )
