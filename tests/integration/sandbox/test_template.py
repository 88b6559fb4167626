"""Sandboxes of the template have their preview server already; those of others, or with another one, get it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from kit.errors import Unavailable
from kit.testing import eventually
from services.sandbox.model import ASIDE
from services.sandbox.settings import PreviewSettings
from services.sandbox.template import NAME, preview_server, write_template
from services.sandbox.vendor import PathMissing, VendorSandbox
from tests.fixtures.engine import RunningEngine, start_engine
from tests.fixtures.postgres import DatabaseUrls
from tests.fixtures.projects import ProjectsService
from tests.fixtures.sandbox import SandboxService, running_sandboxes

SERVER = preview_server(PreviewSettings())


@pytest.fixture(scope="module")
def templated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEngine]:
    """An engine that has the template."""
    folder = tmp_path_factory.mktemp("templates")
    write_template(folder / NAME, SERVER)
    engine = start_engine(tmp_path_factory.mktemp("engine"), pool_size=1, templates_dir=str(folder))
    yield engine
    engine.stop()


async def _live(service: SandboxService, project_id: str) -> VendorSandbox:
    row = await service.row(project_id)
    return await service.parts.vendor.connect(row["vendor_id"])


async def _was_put_in(live: VendorSandbox) -> bool:
    """Whether anything was ever set aside, as the server is on its way into a sandbox that has none."""
    try:
        await live.list(f"{ASIDE}/in", 1)
    except PathMissing:
        return False
    return True


async def test_the_templates_server_is_the_one_and_nothing_is_put_in(
    sandbox_urls: DatabaseUrls, projects_service: ProjectsService, templated: RunningEngine
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    async with running_sandboxes(
        sandbox_urls, projects_service, templated.url, e2b_template=NAME
    ) as service:
        created = await service.as_user(user).create(project_id)
        live = await _live(service, project_id)
        assert await live.preview_answers(SERVER.version)
        assert not await _was_put_in(live)
        assert (await service.preview(created.sandbox_url)).status_code == 200


async def test_a_template_of_another_version_is_caught_up_on(
    sandbox_urls: DatabaseUrls, projects_service: ProjectsService, templated: RunningEngine
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    ours = preview_server(PreviewSettings(draft_seconds=7))
    async with running_sandboxes(
        sandbox_urls, projects_service, templated.url, e2b_template=NAME, draft_seconds=7
    ) as service:
        created = await service.as_user(user).create(project_id)
        live = await _live(service, project_id)
        assert await live.preview_answers(ours.version)
        assert (await service.preview(created.sandbox_url)).status_code == 200


async def test_a_service_with_another_version_replaces_the_server_with_the_next_use(
    sandbox_urls: DatabaseUrls, projects_service: ProjectsService, templated: RunningEngine
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    ours = preview_server(PreviewSettings(draft_seconds=7))
    running = partial(running_sandboxes, sandbox_urls, projects_service, templated.url)
    async with running(e2b_template=NAME) as before:
        caller = before.as_user(user)
        await caller.upload(project_id, "index.html", b"x")
        deployment = before.settings.deployment
        async with running(e2b_template=NAME, draft_seconds=7, deployment=deployment) as after:
            assert await after.as_user(user).read(project_id, "index.html") == b"x"
            live = await _live(after, project_id)
            assert await eventually(partial(live.preview_answers, ours.version))


async def test_an_engine_without_the_template_makes_sandboxes_of_the_other_one(
    sandbox_urls: DatabaseUrls, projects_service: ProjectsService, engine: RunningEngine
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    async with running_sandboxes(
        sandbox_urls, projects_service, engine.url, e2b_template=NAME
    ) as service:
        created = await service.as_user(user).create(project_id)
        assert (await service.preview(created.sandbox_url)).status_code == 200


async def test_without_another_template_a_missing_one_is_an_error(
    sandbox_urls: DatabaseUrls, projects_service: ProjectsService, engine: RunningEngine
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    async with running_sandboxes(
        sandbox_urls, projects_service, engine.url, e2b_template=NAME, e2b_fallback_template=""
    ) as service:
        with pytest.raises(Unavailable) as found:
            await service.as_user(user).create(project_id)
        assert found.value.reason == "SANDBOX_TEMPLATE_MISSING"


@pytest.mark.parametrize("template", ["base", NAME])
async def test_after_a_restart_of_the_engine_the_next_use_brings_the_preview_back(
    sandbox_urls: DatabaseUrls, projects_service: ProjectsService, tmp_path: Path, template: str
) -> None:
    write_template(tmp_path / "templates" / NAME, SERVER)
    start = partial(
        start_engine, tmp_path / "engine", pool_size=0, templates_dir=tmp_path / "templates"
    )
    engine = start()
    user = await projects_service.user()
    project_id = await user.new_project()
    running = partial(running_sandboxes, sandbox_urls, projects_service, engine.url)
    try:
        async with running(e2b_template=template) as service:
            await service.as_user(user).upload(project_id, "index.html", b"x")
            deployment = service.settings.deployment
            engine.stop()
            engine = start(port=engine.port)
            # Another replica: the first one has looked at this preview just now.
            async with running(e2b_template=template, deployment=deployment) as other:
                assert await other.as_user(user).read(project_id, "index.html") == b"x"
                live = await _live(other, project_id)
                assert await eventually(partial(live.preview_answers, SERVER.version))
    finally:
        engine.stop()
