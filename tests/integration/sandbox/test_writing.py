"""Writes into sandbox and store, over the real engine."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from kit.errors import Conflict, FailedPrecondition, Invalid, NotFound, QuotaExceeded
from protos.files.v1 import files_pb2
from protos.projects.v1 import projects_pb2
from services.sandbox.model import SITE
from services.sandbox.vendor import VendorSandbox
from tests.fixtures.engine import RunningEngine
from tests.fixtures.postgres import DatabaseUrls
from tests.fixtures.projects import ProjectsService, TestUser
from tests.fixtures.sandbox import Sandboxes, SandboxService, put, running_sandboxes


def delete(path: str) -> files_pb2.FileOperation:
    return files_pb2.FileOperation(delete=files_pb2.FileDelete(path=path))


def rename(old: str, new: str) -> files_pb2.FileOperation:
    return files_pb2.FileOperation(rename=files_pb2.FileRename(from_path=old, to_path=new))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Project:
    """A project of a new user."""

    def __init__(self, service: SandboxService, user: TestUser, project_id: str) -> None:
        self.service = service
        self.user = user
        self.id = project_id
        self.own: Sandboxes = service.as_user(user)
        self.internal: Sandboxes = service.as_service(user)

    async def stored(self) -> dict[str, str]:
        """Hashes by path in the store."""
        request = projects_pb2.ListFilesRequest(project_id=self.id)
        return {one.path: one.sha256 for one in (await self.user.projects.ListFiles(request)).files}

    async def live(self) -> VendorSandbox:
        vendor_id = (await self.service.row(self.id))["vendor_id"]
        return await self.service.parts.vendor.connect(vendor_id)

    async def in_sandbox(self) -> dict[str, str]:
        """Hashes by path in the sandbox."""
        found = await (await self.live()).hashes(SITE)
        return {path.removeprefix(f"{SITE}/"): sha for path, sha in found.items()}

    async def aside(self) -> list[str]:
        """What lies next to the project, on its way in."""
        entries = await (await self.live()).list("/home/user/.sandwright", 2)
        return [entry.path for entry in entries if "/in/" in entry.path]


@pytest.fixture
async def project(sandbox_service: SandboxService, projects_service: ProjectsService) -> Project:
    user = await projects_service.user()
    return Project(sandbox_service, user, await user.new_project())


async def test_puts_renames_and_deletes_reach_both_sides(project: Project) -> None:
    await project.internal.write(
        project.id, *put("a.txt", b"a"), *put("b/b.txt", b"b"), *put("c.txt", b"c")
    )
    done = await project.internal.write(
        project.id,
        rename("a.txt", "moved/a.txt"),
        delete("c.txt"),
        *put("b/b.txt", b"B"),
        *put("d.txt", b""),
    )
    expected = {"moved/a.txt": sha256(b"a"), "b/b.txt": sha256(b"B"), "d.txt": sha256(b"")}
    assert await project.stored() == expected
    assert await project.in_sandbox() == expected
    assert set(done.result.deleted_paths) >= {"c.txt"}
    assert await project.aside() == []
    assert not (await project.service.row(project.id))["unsettled"]


async def test_a_refused_write_changes_neither_side(project: Project) -> None:
    await project.own.upload(project.id, "index.html", b"first")
    with pytest.raises(FailedPrecondition) as found:
        await project.internal.write(
            project.id,
            *put("new.txt", b"new"),
            *put("index.html", b"second", expected=sha256(b"other")),
        )
    assert found.value.reason == "FILE_CHANGED"
    expected = {"index.html": sha256(b"first")}
    assert await project.stored() == await project.in_sandbox() == expected
    assert await project.aside() == []
    assert not (await project.service.row(project.id))["unsettled"]


async def test_a_lower_epoch_is_refused_before_anything_is_touched(project: Project) -> None:
    def origin(epoch: int) -> files_pb2.WriteOrigin:
        return files_pb2.WriteOrigin(generation_id="gen-1", epoch=epoch)

    await project.internal.write(project.id, *put("a", b"2"), origin=origin(2))
    before = await project.service.at_vendor()
    with pytest.raises(Conflict) as found:
        await project.internal.write(project.id, *put("a", b"1"), origin=origin(1))
    assert found.value.reason == "STALE_EPOCH"
    assert await project.in_sandbox() == await project.stored() == {"a": sha256(b"2")}
    await project.internal.write(project.id, *put("a", b"3"), origin=origin(2))
    await project.own.upload(project.id, "a", b"by hand")
    assert await project.in_sandbox() == await project.stored() == {"a": sha256(b"by hand")}
    assert await project.service.at_vendor() == before


async def test_a_repeated_operation_answers_the_same(project: Project) -> None:
    origin = files_pb2.WriteOrigin(generation_id="gen-1", epoch=1, operation_id="op-1")
    first = await project.internal.write(project.id, *put("a", b"x"), origin=origin)
    again = await project.internal.write(project.id, *put("a", b"x"), origin=origin)
    assert (first.result.repeated, again.result.repeated) == (False, True)
    assert list(again.result.files) == list(first.result.files)
    with pytest.raises(Conflict) as found:
        await project.internal.write(project.id, *put("a", b"y"), origin=origin)
    assert found.value.reason == "IDEMPOTENCY_CONFLICT"
    assert await project.in_sandbox() == await project.stored() == {"a": sha256(b"x")}


async def test_a_repeated_operation_leaves_what_was_written_since(project: Project) -> None:
    origin = files_pb2.WriteOrigin(generation_id="gen-1", epoch=1, operation_id="op-1")
    steps = [*put("a", b"old"), *put("b", b"b"), rename("b", "c")]
    await project.internal.write(project.id, *steps, origin=origin)
    await project.own.upload(project.id, "a", b"new")
    await project.own.delete(project.id, "c")
    await project.internal.write(project.id, *steps, origin=origin)
    assert await project.in_sandbox() == await project.stored() == {"a": sha256(b"new")}
    assert await project.aside() == []
    assert not (await project.service.row(project.id))["unsettled"]


@pytest.mark.parametrize("size", [0, 1, 1024 * 1024, 3 * 1024 * 1024 + 1])
async def test_uploads_of_any_size_come_back(project: Project, size: int) -> None:
    data = bytes(number % 251 for number in range(min(size, 4096))) * (size // 4096 + 1)
    data = data[:size]
    entry = await project.own.upload(project.id, "assets/data.bin", data)
    assert (entry.path, entry.size_bytes, entry.sha256) == (
        "assets/data.bin",
        size,
        sha256(data),
    )
    pieces = await project.own.read_pieces(project.id, "assets/data.bin")
    assert pieces[0].content_type == "application/octet-stream"
    assert b"".join(piece.data for piece in pieces) == data
    assert max(len(piece.data) for piece in pieces) <= 1024 * 1024


async def test_a_file_over_the_limit_is_refused_and_changes_nothing(
    sandbox_urls: DatabaseUrls, projects_service: ProjectsService, engine: RunningEngine
) -> None:
    async with running_sandboxes(
        sandbox_urls, projects_service, engine.url, max_file_bytes=1000, max_write_bytes=1500
    ) as service:
        user = await projects_service.user()
        project = Project(service, user, await user.new_project())
        with pytest.raises(Invalid) as found:
            await project.own.upload(project.id, "big.bin", b"x" * 1001)
        assert found.value.reason == "FILE_TOO_LARGE"
        assert found.value.metadata == {"path": "big.bin", "limit": "1000"}
        assert [violation.field for violation in found.value.violations] == ["path"]
        with pytest.raises(QuotaExceeded) as over:
            await project.internal.write(project.id, *put("a", b"x" * 1000), *put("b", b"x" * 501))
        assert over.value.reason == "PROJECT_BYTES"
        assert await project.stored() == {}
        assert await service.at_vendor() == set()


BAD_PATHS = ["", "/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a\\b", "a\nb", "x" * 1025]


@pytest.mark.parametrize("path", BAD_PATHS)
async def test_a_bad_path_is_refused_by_every_method(project: Project, path: str) -> None:
    uses = [
        project.own.upload(project.id, path, b"x"),
        project.own.read(project.id, path),
        project.own.delete(project.id, path),
        project.internal.write(project.id, *put(path, b"x")),
        project.internal.write(project.id, delete(path)),
        project.internal.write(project.id, rename("a", path)),
    ]
    for use in uses:
        with pytest.raises(Invalid) as found:
            await use
        assert found.value.violations
    assert await project.service.at_vendor() == set()


async def test_a_stream_out_of_order_is_refused(project: Project) -> None:
    chunk = files_pb2.FileOperation(chunk=b"x")
    with pytest.raises(Invalid):
        await project.internal.write(project.id, chunk)
    with pytest.raises(Invalid) as found:
        await project.own.upload("", "a.txt", b"x")
    assert found.value.violations[0].field == "project_id"


async def test_deleting_says_whether_there_was_something(project: Project) -> None:
    await project.own.upload(project.id, "css/site.css", b"x")
    with pytest.raises(NotFound) as found:
        await project.own.delete(project.id, "nothing.txt")
    assert found.value.reason == "FILE_NOT_FOUND"
    with pytest.raises(NotFound):
        await project.own.delete(project.id, "css")
    assert await project.in_sandbox() == {"css/site.css": sha256(b"x")}
    await project.own.delete(project.id, "css/site.css")
    assert await project.in_sandbox() == await project.stored() == {}


async def test_a_file_that_only_the_sandbox_has_can_be_deleted(project: Project) -> None:
    await project.own.create(project.id)
    await (await project.live()).start(f"echo made > {SITE}/made.txt")
    await project.own.create(project.id)
    listed = await project.own.list(project.id)
    while "made.txt" not in listed:
        listed = await project.own.list(project.id)
    await project.own.delete(project.id, "made.txt")
    assert await project.in_sandbox() == {}


async def test_what_is_in_a_files_way_in_the_sandbox_gives_way(project: Project) -> None:
    await project.own.upload(project.id, "keep.txt", b"keep")
    live = await project.live()
    await live.make_folder(f"{SITE}/index.html/sub")
    await live.write([])
    await project.own.upload(project.id, "index.html", b"page")
    assert await project.in_sandbox() == await project.stored()
    assert await project.own.read(project.id, "index.html") == b"page"


async def test_writes_at_once_leave_both_sides_alike(
    project: Project, sandbox_urls: DatabaseUrls, engine: RunningEngine
) -> None:
    deployment = project.service.settings.deployment
    async with running_sandboxes(
        sandbox_urls, project.service.projects, engine.url, deployment=deployment
    ) as other:
        callers = [project.own, other.as_user(project.user)]
        await asyncio.gather(
            *(
                callers[number % 2].upload(project.id, "same.txt", b"%d" % number)
                for number in range(12)
            ),
            *(
                callers[number % 2].upload(project.id, f"own/{number}.txt", b"%d" % number)
                for number in range(6)
            ),
        )
        stored = await project.stored()
        assert len(stored) == 7
        assert await project.in_sandbox() == stored


async def test_a_write_that_was_cut_off_is_made_good_by_the_next(project: Project) -> None:
    await project.own.upload(project.id, "index.html", b"first")
    # As a process leaves it that died between the store's yes and the sandbox's.
    await project.service.sql("UPDATE sandboxes SET unsettled = true")
    await (await project.live()).remove(f"{SITE}/index.html")
    await (await project.live()).make_folder(f"{SITE}/made")
    await project.own.upload(project.id, "other.txt", b"other")
    assert await project.in_sandbox() == await project.stored()
    assert set(await project.own.list(project.id)) == {"index.html", "other.txt", "made"}


async def test_listings_show_the_project_or_the_file_system(project: Project) -> None:
    await project.own.upload(project.id, "a/b/c.txt", b"123")
    everything = await project.own.list(project.id)
    assert set(everything) == {"a", "a/b", "a/b/c.txt"}
    assert everything["a/b/c.txt"].size_bytes == 3
    assert everything["a/b/c.txt"].name == "c.txt"
    assert set(await project.own.list(project.id, depth=1)) == {"a"}
    assert set(await project.own.list(project.id, "a/b")) == {"a/b/c.txt"}
    root = await project.own.list(project.id, "/")
    assert {"/home", "/usr"} <= set(root)
    assert set(await project.own.list(project.id, "/home/user/")) >= {"/home/user/site"}
    for path in ("..", "a/../..", "/home/../etc"):
        with pytest.raises(Invalid):
            await project.own.list(project.id, path)
    with pytest.raises(NotFound) as found:
        await project.own.list(project.id, "nowhere")
    assert found.value.reason == "FILE_NOT_FOUND"
    with pytest.raises(Invalid):
        await project.own.list(project.id, "a/b/c.txt")
    with pytest.raises(NotFound):
        await project.own.read(project.id, "nowhere.txt")
    with pytest.raises(Invalid):
        await project.own.read(project.id, "a")


async def test_a_listing_that_is_too_long_is_refused(
    sandbox_urls: DatabaseUrls, projects_service: ProjectsService, engine: RunningEngine
) -> None:
    async with running_sandboxes(
        sandbox_urls, projects_service, engine.url, max_listed_entries=3
    ) as service:
        user = await projects_service.user()
        project = Project(service, user, await user.new_project())
        await project.own.upload(project.id, "a/b/c.txt", b"123")
        assert len(await project.own.list(project.id)) == 3
        await project.own.upload(project.id, "d.txt", b"")
        with pytest.raises(FailedPrecondition) as found:
            await project.own.list(project.id)
        assert found.value.reason == "TOO_MANY_ENTRIES"
