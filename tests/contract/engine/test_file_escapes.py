"""Every file call against every way out: what lies outside is neither read, named nor changed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from e2b import AsyncSandbox, SandboxException
from e2b.sandbox.filesystem.filesystem import WriteEntry

from tests.fixtures.engine import RunningEngine

SECRET = "of-the-machine"
_REFUSED = (SandboxException, ValueError, httpx.HTTPError)

# How a path outside is spelled; {} is the absolute path on the machine.
SPELLINGS = {
    "absolute": "{}",
    "dots": "../../../../../../../../..{}",
    "symlink to it": "/home/user/link",
    "symlink above it": "/home/user/above/{name}",
    "symlink to the top": "/home/user/top{}",
    "own root": "/proc/self/root{}",
    "root of process 1": "/proc/1/root{}",
    "working directory": "/proc/self/cwd/../../../../..{}",
    "dots below a symlink": "/home/user/above/../{folder}/{name}",
}

Call = Callable[[AsyncSandbox, str], Awaitable[Any]]


def direct(sandbox: AsyncSandbox) -> httpx.AsyncClient:
    """The sandbox's files without the SDK in between."""
    base = str(httpx.URL(sandbox.upload_url("x")).join("/"))
    return httpx.AsyncClient(base_url=base, headers=sandbox.connection_config.sandbox_headers)


async def _download(sandbox: AsyncSandbox, path: str) -> str:
    async with httpx.AsyncClient() as client:
        return (await client.get(sandbox.download_url(path))).text


async def _upload(sandbox: AsyncSandbox, path: str) -> str:
    async with httpx.AsyncClient() as client:
        files = {"file": ("x", b"changed")}
        return (await client.post(sandbox.upload_url(path), files=files)).text


async def _upload_name(sandbox: AsyncSandbox, path: str) -> str:
    """The path as the name of an uploaded file, which browsers are free to send."""
    async with direct(sandbox) as client:
        return (await client.post("/files", files={"file": (path, b"changed")})).text


async def _watch(sandbox: AsyncSandbox, path: str) -> list[Any]:
    seen: list[Any] = []
    handle = await sandbox.files.watch_dir(str(Path(path).parent), seen.append)
    await handle.stop()  # type: ignore[no-untyped-call]  # the SDK does not annotate it
    return seen


CALLS: dict[str, Call] = {
    "read": lambda box, path: box.files.read(path),
    "stat": lambda box, path: box.files.get_info(path),
    "list": lambda box, path: box.files.list(str(Path(path).parent)),
    "watch": _watch,
    "download": _download,
    "write": lambda box, path: box.files.write(path, "changed"),
    "write many": lambda box, path: box.files.write_files([WriteEntry(path=path, data="changed")]),
    "upload": _upload,
    "upload by name": _upload_name,
    "make_dir": lambda box, path: box.files.make_dir(path + ".d"),
    "rename to": lambda box, path: box.files.rename("/home/user/mine", path),
    "rename from": lambda box, path: box.files.rename(path, "/home/user/taken"),
    "remove": lambda box, path: box.files.remove(path),
    "cwd": lambda box, path: box.commands.run("cat *", cwd=str(Path(path).parent)),
}


async def attempt(call: Call, sandbox: AsyncSandbox, path: str) -> str:
    """What a call brings back; a refusal counts too, for what it says."""
    try:
        return repr(await call(sandbox, path))
    except _REFUSED as exc:
        return str(exc)


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS.keys())
async def test_no_file_call_reaches_the_machine(
    engine: RunningEngine, sandbox: AsyncSandbox, tmp_path: Path, spelling: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    secret = outside / "secret"
    secret.write_text(SECRET)
    path = spelling.format(secret, name=secret.name, folder=outside.name)
    await sandbox.files.write("mine", "mine")
    await sandbox.commands.run(f"ln -s {secret} link; ln -s {outside} above; ln -s / top")
    for name, call in CALLS.items():
        said = await attempt(call, sandbox, path)
        assert SECRET not in said, name
        assert [one.name for one in outside.iterdir()] == ["secret"], name
        assert secret.read_text() == SECRET, name
    assert "Traceback" not in engine.log.read_text()


@pytest.mark.parametrize(
    "path",
    [
        "a" * 300,
        "a/" * 3000 + "f",
        "a/" * 1500 + "f",
        "/" + "b" * 5000,
        "nul\0byte",
        "~other/f",
        "f/",
        "\x1b[31m\n",
    ],
    ids=[
        "long name",
        "long path",
        "deep path",
        "longer name",
        "nul",
        "other home",
        "slash",
        "control",
    ],
)
async def test_strange_paths_get_a_clear_answer(
    engine: RunningEngine, sandbox: AsyncSandbox, path: str
) -> None:
    for name, call in CALLS.items():
        said = await attempt(call, sandbox, path)
        assert "Internal" not in said, name
        assert "500" not in said, name
    assert (await sandbox.commands.run("echo alive")).stdout == "alive\n"
    logged = engine.log.read_bytes()
    assert b"Traceback" not in logged
    assert b"\x1b[31m" not in logged


async def test_names_that_are_no_text_can_be_listed_and_removed_with_their_folder(
    sandbox: AsyncSandbox,
) -> None:
    source = 'import os; os.mkdir("d"); open(b"d/\\xff\\xfe", "w").close(); os.mkdir(b"d/\\xfd")'
    await sandbox.commands.run(f"python3 -c '{source}'")
    assert len(await sandbox.files.list("d", depth=3)) == 2
    async with direct(sandbox) as client:
        assert (await client.get("/files?path=d/%FF%FE")).status_code in (400, 404)
    await sandbox.files.remove("d")
    assert not await sandbox.files.exists("d")
