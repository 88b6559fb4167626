"""A user of the projects service and a project."""

from __future__ import annotations

import pytest

from tests.fixtures.projects import ProjectsService, TestUser


@pytest.fixture
async def user(projects_service: ProjectsService) -> TestUser:
    """Somebody new."""
    return await projects_service.user()


@pytest.fixture
async def project_id(user: TestUser) -> str:
    """A project without files."""
    return await user.new_project()
