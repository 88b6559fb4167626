"""What each agent of a team is shown first. What it is shown it knows: it may change that."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from services.generation.agent.prompt import project_files, shown_files
from services.generation.language_model import Block
from services.generation.model import Job
from services.generation.peers import FileInfo
from services.generation.worker.opening import shown_text
from services.generation.worker.surroundings import Surroundings
from services.generation.worker.team import parts, prompts
from services.generation.worker.team.plan import PagePlan, SitePlan
from services.generation.worker.team.site import Site
from services.generation.worker.writes import Writes


class Openings:
    """For one job's agents. The planner begins as an agent does that is alone."""

    def __init__(self, around: Surroundings, job: Job, writes: Writes, site: Site) -> None:
        """``job`` as it was claimed."""
        self._budget = around.settings.context_bytes
        self._request = job.prompt
        self._writes = writes
        self._site = site

    async def of_writer(self, plan: SitePlan, page: PagePlan) -> list[Block]:
        """The plan, the shared files, and the page where it is there already."""
        files = await self._site.manifest()
        shared = shown_files([f for f in files if f.path in plan.shared_files], self._budget)
        own = shown_files([f for f in files if page.owns(f.path)], self._budget)
        texts = await self._shown(page.path, files, [*shared, *own])
        return prompts.writer_opening(
            self._request, plan, page, _of(texts, shared), _of(texts, own)
        )

    async def of_reviewer(self, plan: SitePlan, told: Mapping[str, str]) -> list[Block]:
        """The whole site. ``told`` has what each agent could not do."""
        left = [
            f"{agent}: its designer could not finish it. {why}"
            for agent, why in told.items()
            if why
        ]
        lacks = [
            f"{finding.path}: {finding.message}"
            for finding in await self._site.lacks(plan, plan.pages)
        ]
        files = await self._site.manifest()
        texts = await self._shown(parts.REVIEWER, files, shown_files(files, self._budget))
        site = [{"type": "text", "text": project_files(files, texts)}] if files else []
        return prompts.reviewer_opening(self._request, plan, site, [*left, *lacks])

    async def _shown(self, agent: str, files: list[FileInfo], paths: list[str]) -> dict[str, str]:
        contents = await self._site.contents(paths)
        knowledge = self._writes.knowledge(agent)
        knowledge.listed(files)
        texts: dict[str, str] = {}
        for path, content in contents.items():
            text = shown_text(path, content)
            if text is None:
                continue
            texts[path] = text
            knowledge.saw(path, hashlib.sha256(content).hexdigest())
        return texts


def _of(texts: Mapping[str, str], paths: list[str]) -> dict[str, str]:
    return {path: texts[path] for path in paths if path in texts}
