"""Bringing a sandbox's files in line with the store's."""

from __future__ import annotations

import posixpath
import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import aclosing

from services.sandbox.model import ASIDE, SITE, Content, Entry, Sandbox, Scan, StoredFile
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

    async def align(self, live: VendorSandbox, sandbox: Sandbox) -> None:
        """Brings the sandbox's project folder in line with the store: writes what differs, removes what has to go.

        Where the store's files were set back all goes that it has not. Else what only the sandbox has was made inside
        and stays, to be taken over, but for what is in a file's way and what a write has taken away.
        """
        stored = await self._projects.list(sandbox.project_id)
        await live.make_folder(SITE)
        ignored = self._ignored.beside(stored).patterns
        scan = await live.scan(SITE, ignored)
        files = {site_path(path) for path in stored}
        gone = {site_path(path) for path in sandbox.removing}
        for path in superfluous(scan, files, None if sandbox.reset else gone):
            await live.remove(path)
        hashes = await live.hashes(SITE, ignored)
        differing = [
            path for path, file in stored.items() if hashes.get(site_path(path)) != file.sha256
        ]
        for begin in range(0, len(differing), _BATCH_FILES):
            await self._rewrite(live, sandbox.project_id, differing[begin : begin + _BATCH_FILES])

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


def superfluous(scan: Scan, files: AbstractSet[str], gone: AbstractSet[str] | None) -> list[str]:
    """The topmost of the paths that have to go for ``files`` to be there. All paths are absolute.

    ``gone``: what is not among the files any more; ``None``: whatever is not among them, but for what is ignored.
    """
    folders = {folder for path in files for folder in _above(path)}
    holding = {folder for path in scan.ignored for folder in _above(path)}
    there = {*scan.files, *scan.others}
    unfit = (there & folders) | (scan.folders & files)
    if gone is None:
        unfit |= (there - files) | (scan.folders - folders - holding)
    else:
        unfit |= (there & gone) - files
    found: list[str] = []
    for path in sorted(unfit):
        if not (found and path.startswith(f"{found[-1]}/")):
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
