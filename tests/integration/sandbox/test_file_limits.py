"""Sizes and numbers of files at their limits, and one over: refused by name, and nothing has changed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from kit.errors import Invalid, QuotaExceeded
from protos.files.v1 import files_pb2
from tests.fixtures.engine import RunningEngine
from tests.fixtures.postgres import DatabaseUrls
from tests.fixtures.projects import ProjectsService, running_projects
from tests.fixtures.sandbox import put, running_sandboxes
from tests.fixtures.sandbox_files import BothSides, hashes

TOUCH = files_pb2.FileOperation(put=files_pb2.FilePut(path="again.txt"))


async def test_a_file_has_at_most_its_bytes_and_a_write_its_bytes_and_steps(
    sandbox_urls: DatabaseUrls, projects_service: ProjectsService, engine: RunningEngine
) -> None:
    limits: dict[str, Any] = {"max_file_bytes": 1000, "max_write_bytes": 1500, "max_write_steps": 3}
    async with running_sandboxes(sandbox_urls, projects_service, engine.url, **limits) as service:
        user = await projects_service.user()
        project = BothSides(service, user, await user.new_project())
        internal = service.as_service(user)
        files = {"a": b"x" * 1000, "b": b"y" * 500}
        await project.own.upload(project.id, "a", files["a"])
        await internal.write(project.id, *put("a", files["a"]), *put("b", files["b"]))
        await internal.write(project.id, TOUCH, TOUCH, TOUCH)
        files["again.txt"] = b""

        with pytest.raises(Invalid) as found:
            await project.own.upload(project.id, "a", b"z" * 1001)
        assert found.value.reason == "FILE_TOO_LARGE"
        assert [violation.field for violation in found.value.violations] == ["path"]
        assert "1000" in found.value.message
        for steps, reason, limit in (
            ([*put("a", b"z" * 1000), *put("b", b"z" * 501)], "PROJECT_BYTES", "1500"),
            ([TOUCH] * 4, "WRITE_STEPS", "3"),
        ):
            with pytest.raises(QuotaExceeded) as over:
                await internal.write(project.id, *steps)
            assert (over.value.reason, over.value.metadata["limit"]) == (reason, limit)
            assert limit in over.value.message
        assert await project.stored() == await project.inside() == hashes(files)


async def test_what_the_project_has_no_room_for_in_the_store_is_refused_and_left_out_of_the_sandbox(
    sandbox_urls: DatabaseUrls, key_folder: Path, engine: RunningEngine
) -> None:
    async with (
        running_projects(
            sandbox_urls, key_folder, max_project_bytes=1000, max_project_files=3
        ) as projects,
        running_sandboxes(sandbox_urls, projects, engine.url) as service,
    ):
        user = await projects.user()
        project = BothSides(service, user, await user.new_project())
        own = project.own
        await own.upload(project.id, "a", b"x" * 600)
        await own.upload(project.id, "b", b"y" * 400)
        for path, size in (("c", 1), ("b", 401)):
            with pytest.raises(QuotaExceeded) as found:
                await own.upload(project.id, path, b"z" * size)
            assert found.value.reason == "PROJECT_BYTES"
            assert found.value.metadata == {"limit": "1000", "used": "1001"}
        await own.upload(project.id, "c", b"")
        with pytest.raises(QuotaExceeded) as found:
            await own.upload(project.id, "d", b"")
        assert found.value.reason == "PROJECT_FILES"
        assert found.value.metadata == {"limit": "3", "used": "4"}
        files = {"a": b"x" * 600, "b": b"y" * 400, "c": b""}
        assert await project.stored() == await project.inside() == hashes(files)
        assert await project.run("find /home/user/.sandwright -path '*/in/*'") == ""
        # What makes room may be written again.
        await own.upload(project.id, "a", b"")
        await own.upload(project.id, "b", b"y" * 1000)
        assert (await project.inside())["b"] == hashlib.sha256(b"y" * 1000).hexdigest()
