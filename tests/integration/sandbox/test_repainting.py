"""From the store and from a generation's drafts to a browser: the services, the engine and a real page."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Page

from tests.fixtures.engine import RunningEngine
from tests.fixtures.postgres import DatabaseUrls, Postgres
from tests.fixtures.project_files import commit, write_files
from tests.fixtures.projects import running_projects
from tests.fixtures.sandbox import running_sandboxes

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_files_that_go_back_in_the_store_are_repainted_in_the_browser(
    postgres: Postgres,
    projects_urls: DatabaseUrls,
    key_folder: Path,
    engine: RunningEngine,
    page: Page,
) -> None:
    urls = await postgres.fresh_async()
    async with (
        running_projects(projects_urls, key_folder, migrate=False) as projects,
        running_sandboxes(urls, projects, engine.url) as service,
    ):
        user = await projects.user()
        project_id = await user.new_project()
        head = "<!doctype html><link rel=icon href=data:,>"
        await write_files(
            user.internal, project_id, {"index.html": f"{head}<h1>First</h1>".encode()}
        )
        await commit(user.internal, project_id, "gen-1")
        await service.as_user(user).create(project_id)
        shown = await service.as_user(user).get(project_id)
        await service.as_user(user).upload(
            project_id, "index.html", f"{head}<h1>Second</h1>".encode()
        )
        await page.goto(shown.preview_url)
        await page.get_by_role("heading", name="Second").wait_for()
        await service.as_service(user).draft(
            project_id, "index.html", f"{head}<h1>Third, half</h1>".encode()
        )
        await page.get_by_role("heading", name="Third, half").wait_for()
        await service.as_service(user).draft(project_id, "", discard=True)
        await page.get_by_role("heading", name="Second").wait_for()
        await commit(user.internal, project_id, "gen-2", keep_head=True)
        await page.get_by_role("heading", name="First").wait_for()
