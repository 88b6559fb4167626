"""Reading files: pages, chunks, versions, and readers that take their time."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.api.httpbody_pb2 import HttpBody

from protos.projects.v1 import projects_pb2
from tests.fixtures.project_files import (
    CHUNK,
    commit,
    delete,
    read_file,
    read_files,
    refused,
    write,
    write_files,
)
from tests.fixtures.projects import TestUser

Code = grpc.StatusCode


async def test_pages_hold_every_file_once_by_path(user: TestUser, project_id: str) -> None:
    # Byte by byte "B" comes before "a", and "a-b" before "a/b": whatever the database's collation is.
    paths = ["B", "a-b", "a.b", "a/b", "a/c", "aa", "z", "ä"]
    await write_files(user.internal, project_id, dict.fromkeys(paths, b"12"))
    found: list[str] = []
    token = ""
    while True:
        page = await user.projects.ListFiles(
            projects_pb2.ListFilesRequest(project_id=project_id, page_size=3, page_token=token)
        )
        assert (page.total_files, page.total_bytes) == (8, 16)
        found += [entry.path for entry in page.files]
        token = page.next_page_token
        if not token:
            break
    assert found == sorted(paths, key=str.encode)


async def test_the_first_message_carries_the_media_type_also_of_an_empty_file(
    user: TestUser, project_id: str
) -> None:
    await write_files(user.internal, project_id, {"empty.css": b"", "data": b"x" * (CHUNK + 1)})

    async def messages(path: str) -> list[tuple[str, int]]:
        request = projects_pb2.GetFileRequest(project_id=project_id, path=path)
        return [(m.content_type, len(m.data)) async for m in user.projects.GetFile(request)]

    assert await messages("empty.css") == [("text/css", 0)]
    assert await messages("data") == [("application/octet-stream", 0), ("", CHUNK), ("", 1)]


@pytest.mark.parametrize("path", ["missing.html", "css", "INDEX.html"])
async def test_what_is_no_file_is_not_found(user: TestUser, project_id: str, path: str) -> None:
    await write_files(user.internal, project_id, {"index.html": b"x", "css/site.css": b"x"})
    async with refused(Code.NOT_FOUND) as error:
        await read_file(user.projects, project_id, path)
    assert error.reason == "FILE_NOT_FOUND"


async def test_a_version_is_read_as_it_was(user: TestUser, project_id: str) -> None:
    await write_files(user.internal, project_id, {"a": b"one", "b": b"kept"})
    await commit(user.internal, project_id)
    await write_files(user.internal, project_id, {"a": b"second"})
    await write(user.internal, project_id, delete("b"))
    assert await read_file(user.projects, project_id, "a") == b"second"
    assert await read_file(user.projects, project_id, "a", version=1) == b"one"
    assert await read_file(user.projects, project_id, "b", version=1) == b"kept"
    then = await user.projects.ListFiles(
        projects_pb2.ListFilesRequest(project_id=project_id, version=1)
    )
    assert [entry.path for entry in then.files] == ["a", "b"]
    assert (then.total_files, then.total_bytes) == (2, 7)


async def test_an_unknown_version_is_not_found(user: TestUser, project_id: str) -> None:
    await write_files(user.internal, project_id, {"a": b"one"})
    for version in (1, 2**31 - 1):
        async with refused(Code.NOT_FOUND) as error:
            await read_file(user.projects, project_id, "a", version=version)
        assert error.reason == "VERSION_NOT_FOUND"
    async with refused(Code.NOT_FOUND) as error:
        await user.projects.ListFiles(
            projects_pb2.ListFilesRequest(project_id=project_id, version=1)
        )
    assert error.reason == "VERSION_NOT_FOUND"


async def test_a_stream_of_chosen_files_leaves_out_what_is_not_there(
    user: TestUser, project_id: str
) -> None:
    await write_files(user.internal, project_id, {"a": b"1", "b": b"2", "c": b""})
    assert await read_files(user.internal, project_id, ["c", "a", "no"]) == {"a": b"1", "c": b""}


async def test_a_stream_of_many_files_of_all_sizes_is_complete_and_in_order(
    user: TestUser, project_id: str
) -> None:
    sizes = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK]
    files = {f"big/{size}": bytes([size % 251]) * size for size in sizes}
    files |= {f"small/{number:03}": b"%d" % number for number in range(450)}
    await write_files(user.internal, project_id, files)
    found = await read_files(user.internal, project_id)
    assert found == files
    assert list(found) == sorted(files)


async def test_a_reader_who_takes_its_time_sees_the_file_as_it_was_and_stops_nobody(
    user: TestUser, project_id: str
) -> None:
    old = b"o" * (6 * CHUNK)
    await write_files(user.internal, project_id, {"large": old})
    request = projects_pb2.GetFileRequest(project_id=project_id, path="large")
    # More slow readers than there are connections to the database.
    readers = [user.projects.GetFile(request) for _ in range(8)]
    first = [[await _chunk(reader), await _chunk(reader)] for reader in readers]
    await write_files(user.internal, project_id, {"large": b"new"})
    await user.projects.DeleteProject(projects_pb2.DeleteProjectRequest(project_id=project_id))
    for reader, begun in zip(readers, first, strict=True):
        rest = [message.data async for message in reader]
        assert b"".join([*begun, *rest]) == old


async def _chunk(reader: Any) -> bytes:
    message = await reader.read()
    assert isinstance(message, HttpBody)
    return bytes(message.data)
