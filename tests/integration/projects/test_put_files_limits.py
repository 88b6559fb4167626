"""What may be written: paths, streams and sizes."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from protos.files.v1 import files_pb2
from protos.projects.v1 import projects_pb2
from tests.fixtures.postgres import DatabaseUrls
from tests.fixtures.project_files import (
    CHUNK,
    END,
    delete,
    list_files,
    put,
    read_file,
    read_files,
    refused,
    rename,
    write,
    write_files,
)
from tests.fixtures.projects import ProjectsService, TestUser, running_projects

Code = grpc.StatusCode


BAD_PATHS = {
    "..": "..",
    "climbing": "a/../../etc/passwd",
    "dot": "a/./b",
    "absolute": "/etc/passwd",
    "nul": "a\x00b",
    "newline": "a\nb",
    "backslash": "a\\b",
    "empty segment": "a//b",
    "trailing slash": "a/",
    "long": "x/" * 512 + "x",
    "long segment": "x" * 256,
}


@pytest.mark.parametrize("path", BAD_PATHS.values(), ids=BAD_PATHS.keys())
async def test_a_bad_path_is_refused_wherever_it_comes_in(
    user: TestUser, project_id: str, path: str
) -> None:
    await write_files(user.internal, project_id, {"f": b"f"})
    for steps in (put(path, b"x"), delete(path), rename("f", path), rename(path, "g")):
        async with refused(Code.INVALID_ARGUMENT) as error:
            await write(user.internal, project_id, steps)
        assert error.fields[0].split(".")[-1] in {"path", "from_path", "to_path"}
    async with refused(Code.INVALID_ARGUMENT) as error:
        await read_file(user.projects, project_id, path)
    assert error.fields == ["path"]
    async with refused(Code.INVALID_ARGUMENT) as error:
        await read_files(user.internal, project_id, [path])
    assert error.fields == ["paths"]
    assert await read_files(user.internal, project_id) == {"f": b"f"}


@pytest.mark.parametrize("path", ["a/b", "a", "x", "x/y/z"])
async def test_no_file_lies_where_a_folder_is_needed(
    user: TestUser, project_id: str, path: str
) -> None:
    files = {"a/b/c": b"1", "x/y": b"2"}
    await write_files(user.internal, project_id, files)
    async with refused(Code.INVALID_ARGUMENT) as error:
        await write_files(user.internal, project_id, {path: b"3"})
    assert error.fields == ["path"]
    assert path in error.error.message
    assert await read_files(user.internal, project_id) == files


async def test_a_file_may_become_a_folder_of_its_own_name(user: TestUser, project_id: str) -> None:
    await write_files(user.internal, project_id, {"a": b"1"})
    await write(user.internal, project_id, rename("a", "a/index.html"))
    await write(user.internal, project_id, [*delete("a/index.html"), *put("a", b"2")])
    assert await read_files(user.internal, project_id) == {"a": b"2"}


def _malformed() -> dict[str, list[projects_pb2.PutFilesRequest]]:
    header = projects_pb2.PutFilesRequest(header=projects_pb2.PutFilesHeader(project_id="PROJECT"))

    def steps(*operations: list[files_pb2.FileOperation]) -> list[projects_pb2.PutFilesRequest]:
        return [projects_pb2.PutFilesRequest(operation=s) for each in operations for s in each]

    chunk = [files_pb2.FileOperation(chunk=b"x")]
    return {
        "nothing at all": [],
        "no end": [header, *steps(put("f", b"x"))],
        "something after the end": [header, *steps(put("f", b"x"), [END], put("g", b"x"))],
        "no header": steps(put("f", b"x")),
        "two headers": [header, *steps(put("f", b"x")), header],
        "an empty message": [header, projects_pb2.PutFilesRequest()],
        "content first": [header, *steps(chunk)],
        "content after a delete": [header, *steps(put("f", b"x"), delete("g"), chunk)],
        "a chunk too large": [
            header,
            *steps(put("f"), [files_pb2.FileOperation(chunk=b"x" * (CHUNK + 1))]),
        ],
    }


@pytest.mark.parametrize("name", _malformed())
async def test_a_malformed_stream_is_refused_and_writes_nothing(
    user: TestUser, project_id: str, name: str
) -> None:
    async def stream() -> AsyncIterator[projects_pb2.PutFilesRequest]:
        for message in _malformed()[name]:
            if message.HasField("header"):
                message.header.project_id = project_id
            yield message

    async with refused(Code.INVALID_ARGUMENT) as error:
        await user.internal.PutFiles(stream())
    assert error.fields
    assert await read_files(user.internal, project_id) == {}


SMALL: dict[str, Any] = {
    "max_file_bytes": 100,
    "max_project_files": 3,
    "max_project_bytes": 250,
    "max_write_steps": 10,
}


async def test_limits_allow_what_is_at_them_and_refuse_one_more(
    projects_urls: DatabaseUrls, key_folder: Path
) -> None:
    async with running_projects(projects_urls, key_folder, **SMALL) as service:
        user = await service.user()
        project_id = await user.new_project()
        at_limits = {"a": b"a" * 100, "b": b"b" * 100, "c": b"c" * 50}
        await write_files(user.internal, project_id, at_limits)

        async with refused(Code.INVALID_ARGUMENT) as error:
            await write_files(user.internal, project_id, {"a": b"a" * 101})
        assert (error.reason, error.fields) == ("FILE_TOO_LARGE", ["path"])
        assert error.error.metadata == {"path": "a", "limit": "100"}
        async with refused(Code.RESOURCE_EXHAUSTED) as error:
            await write_files(user.internal, project_id, {"d": b""})
        assert error.reason == "PROJECT_FILES"
        assert error.error.metadata == {"limit": "3", "used": "4"}
        async with refused(Code.RESOURCE_EXHAUSTED) as error:
            await write_files(user.internal, project_id, {"c": b"c" * 51})
        assert error.reason == "PROJECT_BYTES"
        async with refused(Code.RESOURCE_EXHAUSTED) as error:
            await write_files(user.internal, project_id, dict.fromkeys("abc", b"x" * 100))
        assert error.reason == "PROJECT_BYTES"
        async with refused(Code.RESOURCE_EXHAUSTED) as error:
            await write(user.internal, project_id, [s for _ in range(11) for s in delete("no")])
        assert error.reason == "WRITE_STEPS"

        assert await read_files(user.internal, project_id) == at_limits
        # Making room in the same write is allowed.
        await write(user.internal, project_id, [*delete("a"), *put("d", b"d")])


async def test_a_project_above_a_lowered_limit_may_shrink(
    projects_service: ProjectsService, projects_urls: DatabaseUrls, key_folder: Path
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    await write_files(user.internal, project_id, {n: n.encode() for n in "abcde"})
    async with running_projects(projects_urls, key_folder, **SMALL) as service:
        internal = service.internal(user.user_id)
        await write(internal, project_id, delete("a"))
        async with refused(Code.RESOURCE_EXHAUSTED):
            await write_files(internal, project_id, {"f": b"f"})
    assert sorted(await list_files(user.projects, project_id)) == list("bcde")


async def test_a_file_of_the_largest_default_size_goes_in_and_out(
    user: TestUser, project_id: str
) -> None:
    content = hashlib.shake_128(b"seed").digest(10 * CHUNK)
    await write_files(user.internal, project_id, {"large.bin": content})
    assert await read_file(user.projects, project_id, "large.bin") == content
    async with refused(Code.INVALID_ARGUMENT) as error:
        await write_files(user.internal, project_id, {"larger.bin": content + b"x"})
    assert error.reason == "FILE_TOO_LARGE"
