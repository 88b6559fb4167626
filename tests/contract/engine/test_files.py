"""File calls, as both flavours of the SDK make them."""

from __future__ import annotations

import gzip
import io
from typing import Any

import httpx
import pytest
from e2b import (
    AsyncSandbox,
    FileNotFoundException,
    FileType,
    InvalidArgumentException,
    NotEnoughSpaceException,
    SandboxException,
)

from tests.fixtures.engine import RunningEngine


@pytest.mark.parametrize("options", [{}, {"use_octet_stream": True}, {"gzip": True}])
async def test_what_is_written_is_read_back(box: Any, options: dict[str, bool]) -> None:
    text = "Grüße, 世界!\n" * 100
    written = await box.files.write("deep/er/page.html", text, **options)
    assert (written.path, written.name) == ("/home/user/deep/er/page.html", "page.html")
    assert await box.files.read("deep/er/page.html") == text
    assert await box.files.read("/home/user/deep/er/page.html", gzip=True) == text
    assert await box.files.read("~/deep/er/page.html", format="bytes") == text.encode()


async def test_empty_and_binary_files_survive(box: Any) -> None:
    everything = bytes(range(256)) * 257
    await box.files.write("binary", everything)
    assert await box.files.read("binary", format="bytes") == everything
    await box.files.write("empty", "")
    assert await box.files.read("empty") == ""


async def test_overwriting_leaves_nothing_of_the_old_content(box: Any) -> None:
    await box.files.write("f", "a long first version")
    await box.files.write("f", "short")
    assert await box.files.read("f") == "short"
    assert (await box.files.get_info("f")).size == 5


async def test_many_files_go_in_one_call(box: Any) -> None:
    entries = [{"path": f"many/{n}.txt", "data": f"file {n}"} for n in range(50)]
    written = await box.files.write_files(entries)
    assert [one.path for one in written] == [f"/home/user/many/{n}.txt" for n in range(50)]
    listed = await box.files.list("many")
    assert [one.name for one in listed] == sorted(f"{n}.txt" for n in range(50))
    assert await box.files.read("many/49.txt") == "file 49"


async def test_names_with_quotes_spaces_and_other_scripts_survive(box: Any) -> None:
    names = ['a "quoted" name.txt', "sp ace", "日本語.html", "semi;colon%41", "plus+&="]
    await box.files.write_files([{"path": f"odd/{name}", "data": name} for name in names])
    for name in names:
        assert await box.files.read(f"odd/{name}") == name
    assert sorted(one.name for one in await box.files.list("odd")) == sorted(names)


async def test_info_tells_size_mode_owner_and_time(box: Any) -> None:
    await box.files.write("f.txt", "test")
    info = await box.files.get_info("f.txt")
    assert (info.name, info.type, info.path) == ("f.txt", FileType.FILE, "/home/user/f.txt")
    assert (info.size, info.mode, info.permissions) == (4, 0o644, "-rw-r--r--")
    assert (info.owner, info.group) == ("user", "user")
    await box.files.make_dir("d")
    info = await box.files.get_info("d")
    assert (info.type, info.mode, info.permissions) == (FileType.DIR, 0o755, "drwxr-xr-x")
    assert (await box.files.get_info("/tmp")).permissions == "dtrwxrwxrwx"
    with pytest.raises(FileNotFoundException):
        await box.files.get_info("nothing")


async def test_a_symlink_shows_where_it_leads(box: Any) -> None:
    await box.files.write("real/f.txt", "x")
    await box.commands.run("ln -s real/f.txt link; ln -s real dir; ln -s nowhere broken")
    info = await box.files.get_info("link")
    assert (info.type, info.symlink_target) == (FileType.SYMLINK, "/home/user/real/f.txt")
    assert [one.name for one in await box.files.list("dir")] == ["f.txt"]
    entries = {one.name: one for one in await box.files.list("/home/user", depth=3)}
    assert entries["dir"].type == FileType.SYMLINK
    assert "broken" not in entries  # the SDK skips what is neither file nor directory


async def test_list_goes_as_deep_as_asked_in_lexical_order(box: Any) -> None:
    for path in ("a/b/c/d.txt", "a/z.txt", "a/b.txt"):
        await box.files.write(f"tree/{path}", "x")
    assert [e.path for e in await box.files.list("tree")] == ["/home/user/tree/a"]
    two = [e.path.removeprefix("/home/user/tree/") for e in await box.files.list("tree", depth=2)]
    assert two == ["a", "a/b", "a/b.txt", "a/z.txt"]
    deep = [e.path.removeprefix("/home/user/tree/") for e in await box.files.list("tree", depth=9)]
    assert deep == ["a", "a/b", "a/b/c", "a/b/c/d.txt", "a/b.txt", "a/z.txt"]
    with pytest.raises(InvalidArgumentException):
        await box.files.list("tree/a/z.txt")
    with pytest.raises(FileNotFoundException):
        await box.files.list("missing")


async def test_a_directory_of_thousands_is_listed_whole(sandbox: AsyncSandbox) -> None:
    await sandbox.commands.run(
        "mkdir crowd; cd crowd; seq -f 'a-rather-long-file-name-%05g' 6000 | xargs touch"
    )
    found = await sandbox.files.list("crowd")
    assert len(found) == 6000
    assert found[-1].name == "a-rather-long-file-name-06000"


async def test_make_dir_exists_rename_and_remove(box: Any) -> None:
    assert await box.files.make_dir("x/y/z")
    assert not await box.files.make_dir("x/y/z")
    assert await box.files.exists("x/y")
    moved = await box.files.rename("x/y", "new/place")
    assert (moved.path, moved.type) == ("/home/user/new/place", FileType.DIR)
    assert not await box.files.exists("x/y")
    await box.files.remove("new")
    assert not await box.files.exists("new")
    await box.files.remove("new")
    with pytest.raises(FileNotFoundException):
        await box.files.rename("nothing", "something")
    await box.files.write("file", "x")
    with pytest.raises(InvalidArgumentException):
        await box.files.make_dir("file")
    with pytest.raises(InvalidArgumentException):
        await box.files.write("file/below", "x")


async def test_metadata_lives_and_dies_with_the_content(box: Any) -> None:
    written = await box.files.write("m", "1", metadata={"author": "mish", "Purpose": "test"})
    assert written.metadata == {"author": "mish", "purpose": "test"}
    assert (await box.files.get_info("m")).metadata == written.metadata
    assert (await box.files.list("."))[-1].metadata == written.metadata
    assert (await box.files.rename("m", "n")).metadata == written.metadata
    assert (await box.files.write("n", "2")).metadata is None
    assert (await box.files.get_info("n")).metadata is None


async def test_reading_what_is_no_file_is_refused_and_never_hangs(box: Any) -> None:
    await box.commands.run("mkfifo pipe; ln -s loop loop")
    for path in ("/home/user", "pipe", "/dev/zero"):
        with pytest.raises(InvalidArgumentException):
            await box.files.read(path)
    with pytest.raises(InvalidArgumentException):
        await box.files.write("/home/user", "x")
    with pytest.raises(SandboxException):
        await box.files.write("pipe", "x")
    with pytest.raises(SandboxException):
        await box.files.read("loop")
    with pytest.raises(FileNotFoundException):
        await box.files.read("missing")
    with pytest.raises(SandboxException):
        await box.files.write("/usr/bin/new", "x")


async def test_a_full_disk_is_said_so_and_the_sandbox_goes_on(sandbox: AsyncSandbox) -> None:
    with pytest.raises(NotEnoughSpaceException):
        await sandbox.files.write("huge", io.BytesIO(bytes(300 * 1024 * 1024)))
    await sandbox.files.remove("huge")
    await sandbox.files.write("small", "fits")
    assert await sandbox.files.read("small") == "fits"


async def test_bad_uploads_are_refused_with_a_reason(
    engine: RunningEngine, sandbox: AsyncSandbox
) -> None:
    token = sandbox.connection_config.sandbox_headers["X-Access-Token"]
    headers = {"E2b-Sandbox-Id": sandbox.sandbox_id, "X-Access-Token": token}
    plain = {**headers, "Content-Type": "application/octet-stream"}
    form = {**headers, "Content-Type": "multipart/form-data; boundary=b"}
    cut = b'--b\r\nContent-Disposition: form-data; name="file"; filename="cut"\r\n\r\nhalf'
    async with httpx.AsyncClient(base_url=engine.url) as client:
        for sent, reason in (
            (client.post("/files", content=b"x", headers=plain), "path"),
            (
                client.post(
                    "/files?path=a", content=b"x", headers={**headers, "Content-Type": "text/x"}
                ),
                "content type",
            ),
            (
                client.post(
                    "/files?path=a", content=b"x", headers={**plain, "Content-Encoding": "gzip"}
                ),
                "decompress",
            ),
            (
                client.post(
                    "/files?path=a",
                    content=gzip.compress(b"y")[:9],
                    headers={**plain, "Content-Encoding": "gzip"},
                ),
                "decompress",
            ),
            (
                client.post(
                    "/files?path=a", content=b"x", headers={**plain, "Content-Encoding": "br"}
                ),
                "gzip is",
            ),
            (client.post("/files?path=a", content=b"no form", headers=form), "multipart"),
            (client.post("/files", content=cut, headers=form), "multipart"),
            (client.post("/files?path=a%00b", content=b"x", headers=plain), "NUL"),
            (client.post("/files?path=~root/x", content=b"x", headers=plain), "home dir"),
        ):
            answer = await sent
            assert answer.status_code == 400, answer.text
            assert reason in answer.json()["message"]
        denied = await client.get("/files?path=a", headers={**headers, "X-Access-Token": "no"})
        assert denied.status_code == 401


async def test_a_part_of_a_file_can_be_asked_for(
    engine: RunningEngine, sandbox: AsyncSandbox
) -> None:
    await sandbox.files.write("digits", "0123456789")
    token = sandbox.connection_config.sandbox_headers["X-Access-Token"]
    headers = {"E2b-Sandbox-Id": sandbox.sandbox_id, "X-Access-Token": token}
    async with httpx.AsyncClient(base_url=engine.url, headers=headers) as client:
        part = await client.get("/files?path=digits", headers={"Range": "bytes=2-4"})
        assert (part.status_code, part.text) == (206, "234")
        assert part.headers["content-range"] == "bytes 2-4/10"
        beyond = await client.get("/files?path=digits", headers={"Range": "bytes=99-"})
        assert beyond.status_code == 416


async def test_signed_urls_work_without_a_token_until_they_expire(box: Any) -> None:
    await box.files.write("shared.txt", "for you")
    async with httpx.AsyncClient() as client:
        url = box.download_url("shared.txt", use_signature_expiration=60)
        assert (await client.get(url)).text == "for you"
        up = box.upload_url("up.txt")
        assert (await client.post(up, files={"file": ("up.txt", b"theirs")})).status_code == 200
        assert await box.files.read("up.txt") == "theirs"
        assert (await client.post(url, files={"file": b"x"})).status_code == 401
        expired = box.download_url("shared.txt", use_signature_expiration=-10)
        assert (await client.get(expired)).status_code == 401
        forged = url.replace("shared.txt", "up.txt")
        assert (await client.get(forged)).status_code == 401


@pytest.mark.parametrize(("user", "home"), [(None, "/home/user"), ("root", "/root")])
async def test_a_signed_upload_of_a_form_lands_in_its_users_home(
    box: Any, user: str | None, home: str
) -> None:
    url = box.upload_url("up.txt", user=user, use_signature_expiration=60)
    # A plain field, as browsers' FormData.append("file", "text") makes: it has no file name.
    form = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\ntheirs\r\n--b--\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    async with httpx.AsyncClient() as client:
        sent = await client.post(url, content=form, headers=headers)
        assert sent.json() == [{"path": f"{home}/up.txt", "name": "up.txt", "type": "file"}]
        read = box.download_url("up.txt", user=user, use_signature_expiration=60)
        assert (await client.get(read)).text == "theirs"
        late = box.upload_url("up.txt", user=user, use_signature_expiration=-60)
        refused = await client.post(late, content=form, headers=headers)
        assert refused.json() == {"code": 401, "message": "signature is already expired"}
    assert await box.files.read(f"{home}/up.txt") == "theirs"
