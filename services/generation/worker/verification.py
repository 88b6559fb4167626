"""Looks at what a generation has made before it counts."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence

import structlog

from kit.errors import NotFound, ServiceError
from services.generation.browsing.pages import unsaid, worth_loading
from services.generation.checks.site import MOST_BYTES, Files, readable
from services.generation.convert import check_bytes
from services.generation.model import MOST_FINDINGS, Check, Finding, Job
from services.generation.peers import FileInfo
from services.generation.worker.journal import Journal, Step
from services.generation.worker.patience import patiently
from services.generation.worker.surroundings import Surroundings

_log = structlog.get_logger(__name__)
# Of all files together; what does not fit is known to be there and not looked into.
_MOST_BYTES = 2 * 1024 * 1024


class Verification:
    """Checks one job's files against what they were before it."""

    def __init__(self, around: Surroundings, job: Job, journal: Journal) -> None:
        """``job`` as it was claimed."""
        self._checker, self._browser = around.checker, around.browser
        self._projects = around.projects
        self._patience = around.settings.peer_patience_seconds
        self._project = job.project_id
        self._journal = journal

    async def check(self, round_: int, known: Sequence[Finding] = ()) -> Check | None:
        """The files as they are now, ``known`` findings first; ``None`` where nothing can be checked."""
        try:
            found = await self._findings(round_)
        except NotFound:
            raise
        except ServiceError as exc:
            _log.warning("not checked", reason=exc.reason)
            return None
        if found is None and not known:
            return None
        found = [*known, *(found or ())]
        return Check(round_, tuple(found[:MOST_FINDINGS]), len(found))

    async def tell(self, check: Check, also: Step | None = None, agent: str = "") -> None:
        """Writes it to the log and to the generation, with ``also`` in the same transaction."""
        kept = check_bytes(check)
        await self._journal.write(check, also=also, agent=agent, check_result=kept)

    async def _findings(self, round_: int) -> list[Finding] | None:
        projects, project = self._projects, self._project
        head = await patiently(lambda: projects.head(project), self._patience)
        now = await patiently(lambda: projects.manifest(project), self._patience)
        then: Sequence[FileInfo] = []
        if head:
            then = await patiently(lambda: projects.manifest(project, head), self._patience)
        old = {file.path: file.sha256 for file in then}
        changed = {file.path for file in now if old.get(file.path) != file.sha256}
        if not changed and len(now) == len(then):
            # A repair may take back the change itself.
            return [] if round_ > 1 else None
        contents = await self._read(_chosen(now, changed), 0)
        past = await self._read(_chosen([f for f in then if f.path in changed], changed), head)
        before, after = _files(then, {**contents, **past}), _files(now, contents)
        found = await self._checker.blamed(before, after)
        return await self._loaded(before, after, changed, found)

    async def _loaded(
        self, before: Files, after: Files, changed: Collection[str], said: list[Finding] | None
    ) -> list[Finding] | None:
        """What the parsers said, and what the browser sees besides."""
        pages = worth_loading(after, changed) if self._browser else []
        if not self._browser or not pages:
            return said
        seen = await self._browser.blamed(before, after, pages)
        return [*(said or ()), *unsaid(seen, said or ())] if said is not None or seen else None

    async def _read(self, paths: list[str], version: int) -> dict[str, bytes]:
        projects, project = self._projects, self._project
        return await patiently(lambda: projects.contents(project, paths, version), self._patience)


def _chosen(files: Sequence[FileInfo], changed: set[str]) -> list[str]:
    """Which files are looked into: first those that were changed, then small before large."""
    chosen: list[str] = []
    budget = _MOST_BYTES
    fitting = [file for file in files if readable(file.path) and file.size_bytes <= MOST_BYTES]
    for file in sorted(fitting, key=lambda file: (file.path not in changed, file.size_bytes)):
        budget -= file.size_bytes
        if budget < 0:
            break
        chosen.append(file.path)
    return chosen


def _files(manifest: Sequence[FileInfo], contents: Mapping[str, bytes]) -> Files:
    """The contents that belong to a manifest: a file may have changed between the two."""
    return {
        file.path: content
        if (content := contents.get(file.path)) is not None
        and hashlib.sha256(content).hexdigest() == file.sha256
        else None
        for file in manifest
    }
