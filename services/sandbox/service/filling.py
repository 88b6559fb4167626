"""Bringing a sandbox's files in line with the store's."""

from __future__ import annotations

import posixpath
import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing

from services.sandbox.model import ASIDE, SITE, Content, Entry, Kind, StoredFile
from services.sandbox.projects_peer import ProjectsPeer
from services.sandbox.service.ignoring import Ignored
from services.sandbox.vendor import PathMissing, Upload, VendorSandbox

DEPTH = 520
"""More levels than a path of 1,024 bytes has."""
_BATCH_BYTES = 8 * 1024 * 1024
_BATCH_FILES = 200


def site_path(path: str) -> str:
    """Where a file of the project lies in a sandbox."""
    return f"{SITE}/{path}"


def aside_path() -> str:
    """A new place for a file on its way in, on the file system of the project's folder."""
    return f"{ASIDE}/in/{secrets.token_hex(12)}"


class Filling:
    """Moves files from the store into sandboxes."""

    def __init__(self, projects: ProjectsPeer, ignored: Ignored) -> None:
        """``projects`` has the store; what is ``ignored`` stays in a sandbox though the store has it not."""
        self._projects = projects
        self._ignored = ignored

    async def fill(self, live: VendorSandbox, project_id: str) -> None:
        """Writes all of the project's files into a new sandbox, which nobody sees yet."""
        await live.make_folder(SITE)
        async for batch in self._batches(project_id, ()):
            await live.write([Upload(site_path(file.path), content) for file, content in batch])

    async def align(self, live: VendorSandbox, project_id: str) -> None:
        """Makes the sandbox's project folder what the store has: writes what differs, removes what isn't there."""
        stored = await self._projects.list(project_id)
        await live.make_folder(SITE)
        entries = {entry.path: entry for entry in await live.list(SITE, DEPTH)}
        for path in _superfluous(entries, stored, self._ignored):
            await live.remove(path)
        hashes = await live.hashes(SITE, self._ignored.beside(stored).patterns)
        differing = [
            path for path, file in stored.items() if hashes.get(site_path(path)) != file.sha256
        ]
        for begin in range(0, len(differing), _BATCH_FILES):
            await self._rewrite(live, project_id, differing[begin : begin + _BATCH_FILES])

    async def _rewrite(self, live: VendorSandbox, project_id: str, paths: Sequence[str]) -> None:
        async for batch in self._batches(project_id, paths):
            places = [aside_path() for _ in batch]
            await live.write(
                [Upload(place, content) for place, (_, content) in zip(places, batch, strict=True)]
            )
            for place, (file, _) in zip(places, batch, strict=True):
                await live.rename(place, site_path(file.path))

    async def _batches(
        self, project_id: str, paths: Sequence[str]
    ) -> AsyncIterator[list[tuple[StoredFile, Content]]]:
        """Files with their content, a few MiB at a time; the contents are closed after their turn."""
        batch: list[tuple[StoredFile, Content]] = []
        try:
            async with aclosing(self._projects.contents(project_id, paths)) as contents:
                async for file, content in contents:
                    batch.append((file, content))
                    if _full(batch):
                        yield batch
                        _close(batch)
                        batch = []
            if batch:
                yield batch
        finally:
            _close(batch)


async def find(live: VendorSandbox, path: str) -> Entry | None:
    """What lies at an absolute path; ``None`` where nothing does."""
    try:
        entries = await live.list(posixpath.dirname(path), 1)
    except PathMissing:
        return None
    return next((entry for entry in entries if entry.path == path), None)


def _superfluous(entries: dict[str, Entry], stored: Iterable[str], ignored: Ignored) -> list[str]:
    """The topmost paths that no file of the store needs, and that are not to be left alone."""
    files = {site_path(path) for path in stored}
    folders = {folder for path in files for folder in _above(path)}
    kept = {path for path in entries if ignored.covers(path.removeprefix(f"{SITE}/"))}
    holding = kept | {folder for path in kept for folder in _above(path)}
    found: list[str] = []
    for path, entry in sorted(entries.items()):
        if entry.kind is Kind.DIRECTORY and not entry.symlink_target:
            needed = path in folders or (path in holding and path not in files)
        else:
            needed = path in files or (path in kept and path not in folders)
        if not needed and not (found and path.startswith(f"{found[-1]}/")):
            found.append(path)
    return found


def _above(path: str) -> Iterable[str]:
    while (path := posixpath.dirname(path)) != SITE:
        yield path


def _full(batch: Sequence[tuple[StoredFile, Content]]) -> bool:
    return len(batch) >= _BATCH_FILES or sum(content.size for _, content in batch) >= _BATCH_BYTES


def _close(batch: Iterable[tuple[StoredFile, Content]]) -> None:
    for _, content in batch:
        content.close()
