"""Tool calls on files. Each change names the content that the model knows, so nobody's edit is written over unseen."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

from kit.errors import FailedPrecondition
from kit.paths import media_type
from services.generation.agent.tools.calls import DeleteFile, EditFile, RenameFile, ViewFile
from services.generation.agent.tools.editing import EditError, edited
from services.generation.agent.tools.viewing import listing, numbered, shown, text_of
from services.generation.model import FileDeleted, FileWritten
from services.generation.peers import Origin, Projects, Sandboxes, StoredFile, Written
from services.generation.worker.done import Done, refused
from services.generation.worker.knowledge import Knowledge
from services.generation.worker.patience import patiently

_MOST_TEXT = 2 * 1024 * 1024
_AROUND, _MOST_LINES = 2, 40
T = TypeVar("T")


class FileTools:
    """One conversation's."""

    def __init__(
        self,
        project_id: str,
        projects: Projects,
        sandboxes: Sandboxes,
        knowledge: Knowledge,
        patience: float,
    ) -> None:
        """``patience`` in seconds, for services that do not answer."""
        self._project_id = project_id
        self._projects = projects
        self._sandboxes = sandboxes
        self._knowledge = knowledge
        self._patience = patience

    async def write(self, path: str, content: bytes, origin: Origin) -> Done:
        """The whole of a file."""
        known = self._knowledge.of(path)
        if known and not known.shown:
            there = await self._file(path, 0)
            if there and not self._knowledge.is_own(path, there.info.sha256):
                return _unseen(path)
            expected = there.info.sha256 if there else ""
        else:
            expected = known.sha256 if known else ""
        try:
            written = await self._put(path, content, expected, origin)
        except _Changed as exc:
            if known:
                return await self._other(path)
            self._knowledge.saw(path, exc.sha256, shown=False)
            return _unseen(path)
        return _wrote(written, f"Wrote {path} ({len(content)} bytes).")

    async def edit(self, call: EditFile, origin: Origin) -> Done:
        """A part of a file."""
        path = call.path
        file = await self._file(path, _MOST_TEXT)
        if file is None:
            self._knowledge.gone(path)
            return refused(f"path: there is no file '{path}'.")
        known = self._knowledge.of(path)
        if known is None or known.sha256 != file.info.sha256:
            return self._as_it_is(path, file)
        text = text_of(file.content) if file.content is not None else None
        if text is None:
            return refused(_no_text(file))
        try:
            # Looking for what is nearest in a large file takes a while; others must not wait for it.
            new = await asyncio.to_thread(edited, text, call.edit)
        except EditError as exc:
            return refused(f"{exc}\n")
        try:
            written = await self._put(path, new.text.encode(), file.info.sha256, origin)
        except _Changed:
            return await self._other(path)
        self._knowledge.saw(path, _sha256(new.text.encode()), shown=known.shown)
        lines = new.text.split("\n")
        first, last = max(1, new.line - _AROUND), new.line + min(new.count, _MOST_LINES) + 1
        return _wrote(
            written, f"Edited {path}. It now reads there:\n{numbered(lines, first, last)}"
        )

    async def view(self, call: ViewFile) -> Done:
        """A file's text, or what a folder holds."""
        file = await self._file(call.path, _MOST_TEXT) if call.path else None
        if file is None:
            return await self._list(call.path)
        text = text_of(file.content) if file.content is not None else None
        said = _no_text(file) if text is None else shown(text, call.lines)
        if text is None or call.lines is None:
            self._knowledge.told(call.path, file.info.sha256)
        else:
            self._knowledge.listed([file.info])
        return Done(said)

    async def delete(self, call: DeleteFile, origin: Origin) -> Done:
        """One that is not there is no error, but where the model has another one in mind."""
        path = call.path
        file = await self._file(path, 0)
        if file is None:
            return self._not_there(path)
        if not self._is_as_known(file):
            return await self._other(path)
        expected = file.info.sha256
        await self._knowledge.about_to_delete()
        try:
            written = await self._changing(
                lambda: self._sandboxes.delete(self._project_id, origin, path, expected)
            )
        except _Changed:
            return await self._other(path)
        self._knowledge.gone(path)
        return Done(f"Deleted {path}.", False, (FileDeleted(path),), written.sandbox)

    async def rename(self, call: RenameFile, origin: Origin) -> Done:
        """The new path must be free."""
        file = await self._file(call.path, 0)
        if file is None:
            self._knowledge.gone(call.path)
            return refused(f"path: there is no file '{call.path}'.")
        sha256, known = file.info.sha256, self._knowledge.of(call.path)
        if known is None or known.sha256 != sha256:
            return await self._other(call.path)
        await self._knowledge.about_to_write(call.to_path, sha256)
        try:
            written = await self._changing(
                lambda: self._sandboxes.rename(
                    self._project_id, origin, call.path, call.to_path, sha256
                )
            )
        except _Changed as exc:
            if exc.path != call.to_path:
                return await self._other(call.path)
            return refused(f"to_path: '{call.to_path}' is there already.")
        self._knowledge.gone(call.path)
        self._knowledge.saw(call.to_path, sha256, shown=known.shown)
        done = _wrote(written, f"Renamed {call.path} to {call.to_path}.")
        return Done(done.text, False, (FileDeleted(call.path), *done.events), done.sandbox)

    def _not_there(self, path: str) -> Done:
        """What the model knew of may have been removed in an attempt that was lost, before the log told."""
        told = (FileDeleted(path),) if self._knowledge.of(path) else ()
        self._knowledge.gone(path)
        return Done(f"There is no file '{path}'.", False, told)

    async def _put(self, path: str, content: bytes, expected: str, origin: Origin) -> Written:
        """Raises ``_Changed`` where there is something else, and not by the model itself."""
        sha256 = _sha256(content)
        await self._knowledge.about_to_write(path, sha256)

        async def put(expected: str) -> Written:
            return await self._changing(
                lambda: self._sandboxes.write(self._project_id, origin, path, content, expected)
            )

        try:
            written = await put(expected)
        except _Changed as exc:
            if not self._knowledge.is_own(path, exc.sha256):
                raise
            written = await put(exc.sha256)
        self._knowledge.saw(path, sha256)
        return written

    async def _changing(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            return await patiently(call, self._patience)
        except FailedPrecondition as exc:
            if exc.reason != "FILE_CHANGED":
                raise
            raise _Changed(exc.metadata.get("path", ""), exc.metadata.get("sha256", "")) from exc

    async def _other(self, path: str) -> Done:
        file = await self._file(path, _MOST_TEXT)
        if file is None:
            self._knowledge.gone(path)
            return refused(f"path: '{path}' was removed since you saw it.")
        return self._as_it_is(path, file)

    def _as_it_is(self, path: str, file: StoredFile) -> Done:
        """The model sees what is there, and decides."""
        self._knowledge.told(path, file.info.sha256)
        text = text_of(file.content) if file.content is not None else None
        now = _no_text(file) if text is None else f"Now it is:\n{shown(text)}"
        return Done(
            f"path: '{path}' is not what you saw last: somebody else changed it, or you did in a part of this turn "
            f"that was lost. Nothing was done. Keep what others did, and call again where it is needed. {now}",
            is_error=True,
        )

    def _is_as_known(self, file: StoredFile) -> bool:
        path, sha256 = file.info.path, file.info.sha256
        known = self._knowledge.of(path)
        if known and known.sha256 == sha256:
            return True
        return self._knowledge.is_own(path, sha256)

    async def _list(self, folder: str) -> Done:
        files = await patiently(lambda: self._projects.manifest(self._project_id), self._patience)
        self._knowledge.listed(files)
        found = [file for file in files if not folder or file.path.startswith(f"{folder}/")]
        if folder and not found:
            return refused(f"path: there is no file or folder '{folder}'.")
        return Done(listing(found))

    async def _file(self, path: str, most_bytes: int) -> StoredFile | None:
        return await patiently(
            lambda: self._projects.file(self._project_id, path, most_bytes), self._patience
        )


class _Changed(Exception):
    """A file is not what it was expected to be; ``sha256`` is empty where it is not there."""

    def __init__(self, path: str, sha256: str) -> None:
        super().__init__(path)
        self.path = path
        self.sha256 = sha256


def _wrote(written: Written, text: str) -> Done:
    assert written.file
    file = written.file
    event = FileWritten(file.path, file.size_bytes, file.sha256)
    return Done(text, False, (event,), written.sandbox)


def _unseen(path: str) -> Done:
    return refused(f"path: '{path}' is there already and you have not seen it. View it first.")


def _no_text(file: StoredFile) -> str:
    path, size = file.info.path, file.info.size_bytes
    if file.content is None:
        return f"'{path}' has {size} bytes: too many to be shown or edited."
    return f"'{path}' is no text ({media_type(path)}, {size} bytes): it can't be shown or edited."


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
