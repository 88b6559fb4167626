"""What the model knows of the project's files: an edit of what it never saw, or saw differently, is refused.

It is kept with the transcript. A turn that is lost and asked again knows what its transcript says, so what the lost
attempt changed is shown to the model before it is changed once more. A whole file may be written over all the same:
what the generation wrote itself is known by its hash.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.ext.asyncio import AsyncConnection

from services.generation.model import Seen
from services.generation.peers import FileInfo
from services.generation.repository import KnownFiles
from services.generation.worker.journal import Journal


class Knowledge:
    """One conversation's."""

    def __init__(self, generation_id: str, journal: Journal, agent: str = "") -> None:
        """Knows nothing yet."""
        self._generation_id = generation_id
        self._agent = agent
        self._journal = journal
        self._seen: dict[str, Seen] = {}
        self._kept: dict[str, Seen] = {}
        self._told: dict[str, str] = {}
        self._own: dict[str, set[str]] = {}

    async def read(self, connection: AsyncConnection) -> None:
        """Goes on from what is kept."""
        rows = self._rows(connection)
        self._kept, self._own = await rows.seen(), await rows.own()
        self._seen = dict(self._kept)

    def listed(self, files: Iterable[FileInfo]) -> None:
        """The model is told that these files are there. What it saw before and is another now stays what it saw."""
        for file in files:
            known = self._seen.get(file.path)
            if known is None or not known.shown:
                self._seen[file.path] = Seen(file.sha256, shown=False)

    def changed(self, before: Iterable[FileInfo], after: Iterable[FileInfo]) -> None:
        """The model is told of what differs, as its own doing. What it had not seen before that stays unseen."""
        had = {file.path: file.sha256 for file in before}
        has = {file.path: file.sha256 for file in after}
        for path in had.keys() - has.keys():
            self.gone(path)
        for path, sha256 in has.items():
            known = self._seen.get(path)
            if had.get(path) != sha256 and (known.sha256 if known else None) == had.get(path):
                self.saw(path, sha256, shown=False)

    def saw(self, path: str, sha256: str, *, shown: bool = True) -> None:
        """The model knows this file as it is now."""
        self._seen[path] = Seen(sha256, shown)
        if self._told.get(path) != sha256:
            self._told.pop(path, None)

    def told(self, path: str, sha256: str) -> None:
        """The answer to a call shows the file as it is now: the model will have read it in its next turn."""
        self._told[path] = sha256

    def gone(self, path: str) -> None:
        """The model knows that there is no such file."""
        self._seen.pop(path, None)
        self._told.pop(path, None)

    def of(self, path: str) -> Seen | None:
        """What it saw last; ``None`` where it knows of no file."""
        return self._seen.get(path)

    def is_own(self, path: str, sha256: str) -> bool:
        """Whether the model wrote this itself, in an attempt that was lost maybe."""
        return sha256 in self._own.get(path, ())

    async def about_to_write(self, path: str, sha256: str) -> None:
        """Notes it before it is done: a worker can be lost in between. Raises ``LeaseLost``."""
        self._own.setdefault(path, set()).add(sha256)

        async def note(connection: AsyncConnection) -> None:
            await self._rows(connection).add_own(path, sha256)

        await self._journal.write(also=note)

    async def about_to_delete(self) -> None:
        """Who has lost the lease must not get to the file. Raises ``LeaseLost``."""
        await self._journal.write()

    async def keep(self, connection: AsyncConnection) -> None:
        """Keeps it in the transaction that keeps the transcript: by now the model has its answers."""
        for path, sha256 in self._told.items():
            self._seen[path] = Seen(sha256, shown=True)
        self._told.clear()
        changed = {path: one for path, one in self._seen.items() if self._kept.get(path) != one}
        gone = self._kept.keys() - self._seen.keys()
        await self._rows(connection).put_seen(changed, gone)
        self._kept = dict(self._seen)

    def forget_attempt(self) -> None:
        """The turn begins again: the model knows what it knew before."""
        self._seen = dict(self._kept)
        self._told.clear()

    def _rows(self, connection: AsyncConnection) -> KnownFiles:
        return KnownFiles(connection, self._generation_id, self._agent)
