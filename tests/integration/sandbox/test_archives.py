"""Zip archives into a project and out of its sandbox, over the real engine."""

from __future__ import annotations

import asyncio
import io
import secrets
import zipfile
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from google.api.httpbody_pb2 import HttpBody

from kit.errors import Invalid, NotFound, QuotaExceeded
from kit.metadata import CONTENT_LENGTH
from kit.status import peer_errors
from protos.projects.v1 import projects_pb2
from protos.sandbox.v1 import sandbox_pb2
from services.sandbox.e2b_vendor import E2bSandbox
from services.sandbox.model import SITE
from tests.fixtures.engine import RunningEngine
from tests.fixtures.postgres import DatabaseUrls
from tests.fixtures.projects import ProjectsService, TestUser
from tests.fixtures.sandbox import Sandboxes, SandboxService, running_sandboxes

MIB = 1024 * 1024


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def unzipped(pieces: Iterable[HttpBody]) -> dict[str, bytes]:
    """What an archive holds, in its order; every checksum is right."""
    data = b"".join(piece.data for piece in pieces)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


async def stored(user: TestUser, project_id: str) -> dict[str, int]:
    """Sizes by path in the store."""
    request = projects_pb2.ListFilesRequest(project_id=project_id, page_size=5000)
    return {one.path: one.size_bytes for one in (await user.projects.ListFiles(request)).files}


async def sandbox_of(service: SandboxService, project_id: str) -> E2bSandbox:
    live = await service.parts.vendor.connect((await service.row(project_id))["vendor_id"])
    assert isinstance(live, E2bSandbox)
    return live


@pytest.fixture
async def user(projects_service: ProjectsService) -> TestUser:
    return await projects_service.user()


@pytest.fixture
async def own(sandbox_service: SandboxService, user: TestUser) -> Sandboxes:
    return sandbox_service.as_user(user)


async def test_an_archive_reaches_sandbox_and_store_and_comes_back(
    own: Sandboxes, user: TestUser
) -> None:
    project_id = await user.new_project()
    await own.upload(project_id, "kept.txt", b"kept")
    files = {
        "index.html": b"<p>hello",
        "assets/data.bin": secrets.token_bytes(3 * MIB),
        "assets/a b \u00e9 %41.txt": b"odd name",
        "empty": b"",
    }
    answer = await own.upload_archive(project_id, zipped(files))
    assert {one.path: one.size_bytes for one in answer.files} == {
        p: len(d) for p, d in files.items()
    }
    assert answer.size_bytes == sum(map(len, files.values()))
    assert await stored(user, project_id) == {p: len(d) for p, d in files.items()} | {"kept.txt": 4}
    pieces = await own.download_archive(project_id)
    assert unzipped(pieces) == {"kept.txt": b"kept"} | files
    assert list(unzipped(pieces)) == sorted([*files, "kept.txt"])
    assert pieces[0].content_type == "application/zip"
    assert max(len(piece.data) for piece in pieces) <= MIB


async def test_a_folder_is_filled_and_packed_by_itself(own: Sandboxes, user: TestUser) -> None:
    project_id = await user.new_project()
    await own.upload(project_id, "index.html", b"x")
    await own.upload_archive(project_id, zipped({"v1/a.md": b"a", "b.md": b"b"}), "docs")
    assert unzipped(await own.download_archive(project_id, "docs")) == {
        "b.md": b"b",
        "v1/a.md": b"a",
    }
    assert unzipped(await own.download_archive(project_id, "docs/v1")) == {"a.md": b"a"}
    with pytest.raises(NotFound) as found:
        await own.download_archive(project_id, "docs/v2")
    assert found.value.reason == "FILE_NOT_FOUND"
    with pytest.raises(NotFound):
        await own.download_archive(project_id, "docs/b.md")
    for path in ("../x", "/etc"):
        with pytest.raises(Invalid):
            await own.download_archive(project_id, path)
        with pytest.raises(Invalid):
            await own.upload_archive(project_id, zipped({"a": b"a"}), path)


async def test_a_refused_archive_changes_nothing(own: Sandboxes, user: TestUser) -> None:
    project_id = await user.new_project()
    await own.upload(project_id, "index.html", b"x")
    with pytest.raises(Invalid) as found:
        await own.upload_archive(project_id, zipped({"good.txt": b"x", "../bad.txt": b"x"}))
    assert "../bad.txt" in found.value.message
    # Fit by itself, and not beside what is there.
    with pytest.raises(Invalid):
        await own.upload_archive(project_id, zipped({"good.txt": b"x", "index.html/x": b"x"}))
    assert await stored(user, project_id) == {"index.html": 1}
    assert set(await own.list(project_id)) == {"index.html"}


async def test_an_archive_that_broke_off_changes_nothing(own: Sandboxes, user: TestUser) -> None:
    project_id = await user.new_project()
    archive = zipped({"a": b"a"})

    async def messages() -> AsyncGenerator[sandbox_pb2.UploadArchiveRequest, None]:
        yield sandbox_pb2.UploadArchiveRequest(project_id=project_id)
        yield sandbox_pb2.UploadArchiveRequest(content=HttpBody(data=archive))

    told = ((CONTENT_LENGTH, str(len(archive) + 1)),)
    with pytest.raises(Invalid) as found, peer_errors():
        await own.stub.UploadArchive(messages(), metadata=own.metadata + told)
    assert "broke off" in found.value.message
    assert await stored(user, project_id) == {}


async def test_the_limits_hold_at_the_limit_and_one_over(
    sandbox_urls: DatabaseUrls,
    projects_service: ProjectsService,
    engine: RunningEngine,
    user: TestUser,
) -> None:
    limits: dict[str, Any] = {
        "max_archive_bytes": 60_000,
        "max_project_files": 4,
        "max_file_bytes": 30_000,
        "max_write_bytes": 50_000,
    }
    async with running_sandboxes(sandbox_urls, projects_service, engine.url, **limits) as service:
        own, project_id = service.as_user(user), await user.new_project()

        async def refused(archive: bytes, reason: str, limit: int) -> None:
            with pytest.raises(QuotaExceeded) as found:
                await own.upload_archive(project_id, archive)
            assert (found.value.reason, found.value.metadata["limit"]) == (reason, str(limit))
            assert str(limit) in found.value.message

        await own.upload_archive(project_id, zipped({str(n): b"x" for n in range(4)}))
        await refused(zipped({str(n): b"x" for n in range(5)}), "ARCHIVE_FILES", 4)
        await own.upload_archive(project_id, zipped({"0": b"x" * 30_000, "1": b"x" * 20_000}))
        await refused(zipped({"0": b"x" * 30_000, "1": b"x" * 20_001}), "PROJECT_BYTES", 50_000)
        with pytest.raises(Invalid) as found:
            await own.upload_archive(project_id, zipped({"0": b"x" * 30_001}))
        assert found.value.reason == "FILE_TOO_LARGE"
        longest = zipped({"0": b"y"})
        longest = b"\0" * (60_000 - len(longest)) + longest
        await own.upload_archive(project_id, longest)
        await refused(b"\0" + longest, "ARCHIVE_BYTES", 60_000)


async def test_an_empty_project_is_an_empty_archive(own: Sandboxes, user: TestUser) -> None:
    project_id = await user.new_project()
    with pytest.raises(NotFound) as found:
        await own.download_archive(project_id)
    assert found.value.reason == "SANDBOX_NOT_FOUND"
    await own.create(project_id)
    assert unzipped(await own.download_archive(project_id)) == {}


async def test_what_is_not_the_project_is_not_packed(
    own: Sandboxes, user: TestUser, sandbox_service: SandboxService
) -> None:
    project_id = await user.new_project()
    await own.upload(project_id, "index.html", b"x")
    live = await sandbox_of(sandbox_service, project_id)
    await live.run(
        f"cd {SITE} && mkdir -p node_modules/x .git && touch node_modules/x/y .git/HEAD a.pyc"
        " && ln -s /etc/passwd link && mkfifo pipe && echo made > made.txt"
    )
    assert unzipped(await own.download_archive(project_id)) == {
        "index.html": b"x",
        "made.txt": b"made\n",
    }


async def test_empty_folders_are_packed_and_unpack_as_folders(
    own: Sandboxes, user: TestUser, sandbox_service: SandboxService, tmp_path: Path
) -> None:
    project_id = await user.new_project()
    await own.upload(project_id, "docs/a.md", b"a")
    live = await sandbox_of(sandbox_service, project_id)
    await live.run(
        f"cd {SITE} && mkdir -p empty 'deep/er \u00e9' docs/img node_modules/x only/node_modules"
    )
    pieces = await own.download_archive(project_id)
    files = {"docs/a.md": b"a"}
    folders = ["deep/er \u00e9/", "docs/img/", "empty/", "only/"]
    assert unzipped(pieces) == files | dict.fromkeys(folders, b"")
    archive = b"".join(piece.data for piece in pieces)
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        opened.extractall(tmp_path)
    assert all((tmp_path / folder).is_dir() for folder in folders)
    assert unzipped(await own.download_archive(project_id, "docs")) == {"a.md": b"a", "img/": b""}
    # It comes back as it went.
    other = await user.new_project()
    await own.upload_archive(other, archive)
    assert await stored(user, other) == {"docs/a.md": 1}


async def test_a_file_that_vanishes_while_it_is_packed_is_left_out(
    own: Sandboxes, user: TestUser, sandbox_service: SandboxService
) -> None:
    project_id = await user.new_project()
    big = secrets.token_bytes(2 * MIB)
    files = {f"{number:02}.bin": big for number in range(12)}
    await own.upload_archive(project_id, zipped(files))
    live = await sandbox_of(sandbox_service, project_id)
    archives = sandbox_service.parts.archives
    found = await archives.download(project_id, user.user_id, "")
    async with aclosing(found) as chunks:
        first = await anext(chunks)
        await live.remove(f"{SITE}/11.bin")
        pieces = [first, *[chunk async for chunk in chunks]]
    files.pop("11.bin")
    assert unzipped([HttpBody(data=piece) for piece in pieces]) == files


async def test_a_sandbox_that_ends_while_it_is_packed_ends_the_stream_with_an_error(
    own: Sandboxes, user: TestUser, sandbox_service: SandboxService
) -> None:
    project_id = await user.new_project()
    files = {f"{number}.bin": secrets.token_bytes(8 * MIB) for number in range(6)}
    await own.upload_archive(project_id, zipped(files))
    vendor_id = (await sandbox_service.row(project_id))["vendor_id"]

    async def interrupted() -> None:
        request = sandbox_pb2.DownloadArchiveRequest(project_id=project_id)
        with peer_errors():
            async for _ in own.stub.DownloadArchive(request, metadata=own.metadata, timeout=60):
                await sandbox_service.parts.vendor.kill(vendor_id)

    with pytest.raises(NotFound) as found:
        await interrupted()
    assert found.value.reason == "SANDBOX_NOT_FOUND"


async def test_uploads_of_the_same_project_at_the_same_time_are_each_whole(
    own: Sandboxes, user: TestUser
) -> None:
    project_id = await user.new_project()
    each = [{f"{n}.txt": bytes([who]) for n in range(20)} for who in range(4)]
    await asyncio.gather(*(own.upload_archive(project_id, zipped(files)) for files in each))
    assert unzipped(await own.download_archive(project_id)) in each
