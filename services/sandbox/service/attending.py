"""Seeing to it that the previews of sandboxes in use answer: their engine may have started anew, or this service may
have a newer preview server."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict

import structlog

from kit.errors import ServiceError
from kit.tasks import ended
from services.sandbox.model import Sandbox
from services.sandbox.service.creation import Creation
from services.sandbox.vendor import DiskFull, PathMissing, PathUnfit, SandboxLost, VendorSandbox

_log = structlog.get_logger(__name__)
_EVERY_SECONDS = 10.0
_AFTER_FAILURE_SECONDS = 300.0
_REMEMBERED = 2_000


class Attending:
    """Looks at previews beside their sandboxes' uses, which it neither delays nor fails."""

    def __init__(self, creation: Creation) -> None:
        """``creation`` puts preview servers in."""
        self._creation = creation
        # Whose preview need not be looked at before when, by the vendor's id.
        self._rests: OrderedDict[str, float] = OrderedDict()
        self._looking: set[asyncio.Task[None]] = set()

    def look_after(self, sandbox: Sandbox, live: VendorSandbox) -> None:
        """The sandbox is used now."""
        if time.monotonic() < self._rests.get(live.vendor_id, 0):
            return
        self._rest(live.vendor_id, _EVERY_SECONDS)
        task = asyncio.create_task(self._look(sandbox, live))
        self._looking.add(task)
        task.add_done_callback(self._looking.discard)

    async def finish(self) -> None:
        """Stops looking."""
        await ended(self._looking)

    async def _look(self, sandbox: Sandbox, live: VendorSandbox) -> None:
        try:
            await self._creation.serve_preview(live)
        except (SandboxLost, DiskFull, PathMissing, PathUnfit, ServiceError) as exc:
            self._rest(live.vendor_id, _AFTER_FAILURE_SECONDS)
            _log.warning("no preview", sandbox=sandbox.sandbox_id, error=type(exc).__name__)

    def _rest(self, vendor_id: str, seconds: float) -> None:
        self._rests[vendor_id] = time.monotonic() + seconds
        self._rests.move_to_end(vendor_id)
        while len(self._rests) > _REMEMBERED:
            self._rests.popitem(last=False)
