"""Files that the model is still writing are shown in the preview: as they are every so often, the newest state only.

What is shown is never waited for by the model's stream and never fails a generation. The sandbox service fences drafts
like writes, so a worker that lost its lease shows nothing any more.
"""

from __future__ import annotations

import asyncio

import structlog

from kit.errors import ServiceError
from services.generation.agent.canvas import Canvas
from services.generation.model import Job
from services.generation.peers import Origin, Sandboxes

_log = structlog.get_logger(__name__)
_PUSH_SECONDS = 5.0


class Painting:
    """The drafts of one generation."""

    def __init__(self, job: Job, sandboxes: Sandboxes, interval_seconds: float) -> None:
        """``job`` as it was claimed; no interval: nothing is shown."""
        self._project_id = job.project_id
        self._origin = Origin(job.generation_id, job.epoch)
        self._sandboxes = sandboxes
        self._interval = interval_seconds
        # Another worker may have left drafts behind.
        self._shown = job.epoch > 1
        self._changed: dict[Canvas, None] = {}
        self._pushing: dict[Canvas, asyncio.Task[None]] = {}
        self._brush: asyncio.Task[None] | None = None

    def show(self, canvas: Canvas) -> None:
        """There is more to see of it."""
        if not self._interval:
            return
        self._changed[canvas] = None
        if self._brush is None or self._brush.done():
            self._brush = asyncio.create_task(self._paint())

    async def finish(self, canvas: Canvas) -> None:
        """Nothing of it is shown after this: its file, which comes now, must be newer than its draft."""
        self._changed.pop(canvas, None)
        if pushing := self._pushing.get(canvas):
            await asyncio.wait({pushing})

    async def discard(self, path: str) -> None:
        """Shows the file as it is: what was painted does not come."""
        if self._shown:
            await self._push(path, b"", discard=True)

    async def end(self) -> None:
        """Takes away all that is shown."""
        self._changed.clear()
        if self._brush is not None:
            self._brush.cancel()
            await asyncio.gather(self._brush, return_exceptions=True)
        if self._shown:
            self._shown = False
            await self._push("", b"", discard=True)

    async def _paint(self) -> None:
        while self._changed:
            canvases, self._changed = list(self._changed), {}
            async with asyncio.TaskGroup() as pushes:
                for canvas in canvases:
                    if picture := canvas.picture():
                        self._shown = True
                        push = self._push(canvas.path, picture)
                        self._pushing[canvas] = pushes.create_task(push)
            self._pushing.clear()
            await asyncio.sleep(self._interval)

    async def _push(self, path: str, content: bytes, *, discard: bool = False) -> None:
        try:
            async with asyncio.timeout(_PUSH_SECONDS):
                await self._sandboxes.draft(
                    self._project_id, self._origin, path, content, discard=discard
                )
        except (ServiceError, TimeoutError) as exc:
            _log.info("draft not shown", path=path, error=type(exc).__name__)
