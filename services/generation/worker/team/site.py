"""The site as it stands while a team works on it, and what its plan finds wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kit.errors import NotFound
from services.generation.model import Finding
from services.generation.peers import FileInfo
from services.generation.worker.patience import patiently
from services.generation.worker.surroundings import Surroundings
from services.generation.worker.team import style
from services.generation.worker.team.plan import PagePlan, SitePlan


class Site:
    """One project's files in the store."""

    def __init__(self, around: Surroundings, project_id: str) -> None:
        """Reads nothing yet."""
        self._projects = around.projects
        self._project_id = project_id
        self._patience = around.settings.peer_patience_seconds

    async def manifest(self) -> list[FileInfo]:
        """All files, without their contents."""
        project = self._project_id
        return list(await patiently(lambda: self._projects.manifest(project), self._patience))

    async def contents(self, paths: Iterable[str]) -> dict[str, bytes]:
        """Those of these files that are there."""
        there = {file.path for file in await self.manifest()}
        wanted = [path for path in paths if path in there]
        if not wanted:
            return {}
        try:
            return await patiently(
                lambda: self._projects.contents(self._project_id, wanted), self._patience
            )
        except NotFound as exc:
            if exc.reason != "FILE_NOT_FOUND":
                raise
            # One went away in between; whoever is told of the others is none the worse for it.
            return {}

    async def texts(self, paths: Iterable[str]) -> dict[str, str]:
        """The same as text, as a browser would read them."""
        found = await self.contents(paths)
        return {path: content.decode(errors="replace") for path, content in found.items()}

    async def missing(self, paths: Iterable[str]) -> list[Finding]:
        """Those that are not there."""
        there = {file.path for file in await self.manifest()}
        return [not_written(path) for path in paths if path not in there]

    async def lacks(self, plan: SitePlan, pages: Sequence[PagePlan]) -> list[Finding]:
        """What of the plan is not so in these pages."""
        found = await self.texts(page.path for page in pages)
        lacks: list[Finding] = []
        for page in pages:
            if page.path not in found:
                lacks.append(not_written(page.path))
                continue
            sheets = style.missing(found[page.path], page.path, plan.stylesheets)
            lacks += [
                Finding(page.path, style.RULE, f"The page does not link {sheet}.")
                for sheet in sheets
            ]
        return lacks


def not_written(path: str) -> Finding:
    """The plan names a file that is not there."""
    return Finding(path, "missing-file", "The plan names it, and it was not written.")
