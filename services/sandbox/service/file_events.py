"""What one caller is told of a project's files: what changed between two views of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, aclosing, contextmanager

from kit.errors import FailedPrecondition, QuotaExceeded
from services.sandbox.model import (
    FileChanged,
    FileEvent,
    FileRemoved,
    FilesListed,
    SandboxGone,
)
from services.sandbox.service.lifecycle import Lifecycle
from services.sandbox.service.use import Use
from services.sandbox.service.watching import View, Watching

_BUSY_SECONDS = 1.0


class FileEvents:
    """Tells of files."""

    def __init__(
        self, lifecycle: Lifecycle, watching: Watching, use: Use, most_files: int, most_watches: int
    ) -> None:
        """``most_files``: how many one listing may have. ``most_watches``: of one user, here, at once."""
        self._lifecycle = lifecycle
        self._watching = watching
        self._use = use
        self._most_files = most_files
        self._most_watches = most_watches
        self._watches: Counter[str] = Counter()

    async def watch(self, project_id: str, owner_id: str) -> AsyncGenerator[FileEvent, None]:
        """All files, then each that is made, changed or removed; without an end.

        Raises ``NotFound`` (SANDBOX_NOT_FOUND), ``QuotaExceeded`` (WATCHES), ``FailedPrecondition``
        (TOO_MANY_ENTRIES), ``Unavailable`` when the server stops.
        """
        with self._counted(owner_id):
            async with self._lifecycle.using(project_id, owner_id):
                pass
            async with aclosing(self._events(project_id, owner_id)) as events:
                async for event in events:
                    yield event

    async def _events(self, project_id: str, owner_id: str) -> AsyncGenerator[FileEvent, None]:
        async with self._watching.of(project_id, owner_id) as site, AsyncExitStack() as used:
            last = View(0, None)
            while True:
                view = await site.next(last.number)
                if view.sandbox != last.sandbox:
                    # A sandbox that somebody looks at is not idle.
                    await used.aclose()
                    if view.sandbox is not None:
                        await used.enter_async_context(self._use.of(view.sandbox))
                if len(view.files) > self._most_files:
                    raise FailedPrecondition(
                        f"the project's folder holds more than {self._most_files} files",
                        reason="TOO_MANY_ENTRIES",
                        metadata={"limit": str(self._most_files)},
                    )
                for event in _events(last, view):
                    yield event
                last = view

    @contextmanager
    def _counted(self, owner_id: str) -> Iterator[None]:
        """Inside of it the user has one watch more: each holds a connection open for as long as it likes."""
        used = self._watches[owner_id]
        if used >= self._most_watches:
            raise QuotaExceeded(
                f"at most {self._most_watches} watches of a user's files may be open at once, and {used} are",
                reason="WATCHES",
                retry_after=_BUSY_SECONDS,
                metadata={"limit": str(self._most_watches), "used": str(used)},
            )
        self._watches[owner_id] += 1
        try:
            yield
        finally:
            self._watches[owner_id] -= 1
            # Nothing is kept of who has left.
            if not self._watches[owner_id]:
                del self._watches[owner_id]


def _events(last: View, view: View) -> Iterator[FileEvent]:
    if view.sandbox is None or last.sandbox is None:
        if last.sandbox is not None:
            yield SandboxGone()
        if view.sandbox is not None:
            yield _listed(view)
    elif view.sandbox.vendor_id != last.sandbox.vendor_id:
        yield SandboxGone()
        yield _listed(view)
    else:
        for path in sorted(last.files.keys() - view.files.keys()):
            yield FileRemoved(path)
        for path, seen in sorted(view.files.items()):
            if last.files.get(path) != seen:
                yield FileChanged(path, seen)


def _listed(view: View) -> FilesListed:
    return FilesListed(tuple(sorted(view.files.items())))
