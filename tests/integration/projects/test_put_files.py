"""Writing files: all or nothing, fenced, repeatable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from sqlalchemy import text

from kit.db import Database
from protos.files.v1 import files_pb2
from protos.projects.v1 import projects_pb2
from tests.fixtures.postgres import DatabaseUrls
from tests.fixtures.project_files import (
    CHUNK,
    END,
    commit,
    delete,
    list_files,
    messages,
    origin,
    outcome,
    put,
    read_file,
    read_files,
    refused,
    rename,
    sha256,
    write,
    write_files,
)
from tests.fixtures.projects import ProjectsService, TestUser

Code = grpc.StatusCode


async def _project(user: TestUser, project_id: str) -> projects_pb2.Project:
    return await user.projects.GetProject(projects_pb2.GetProjectRequest(project_id=project_id))


async def test_written_files_are_there_as_they_were_sent(user: TestUser, project_id: str) -> None:
    files = {
        "index.html": b"<h1>Ol\xc3\xa1</h1>",
        "empty.txt": b"",
        "img/exact.bin": b"x" * CHUNK,
        "img/large.bin": bytes(range(256)) * 12_000,
        "ünï/ço dé.css": b"a{}",
    }
    result = await write_files(user.internal, project_id, files)
    assert {entry.path: entry.sha256 for entry in result.files} == {
        path: sha256(content) for path, content in files.items()
    }
    assert [entry.size_bytes for entry in result.files] == [len(c) for c in files.values()]
    assert await read_files(user.internal, project_id) == files
    for path, content in files.items():
        assert await read_file(user.projects, project_id, path) == content
    found = await _project(user, project_id)
    assert (found.file_count, found.size_bytes) == (5, sum(map(len, files.values())))


async def test_steps_take_effect_in_their_order(user: TestUser, project_id: str) -> None:
    await write_files(user.internal, project_id, {"old.html": b"old", "gone.css": b"gone"})
    result = await write(
        user.internal,
        project_id,
        [
            *put("new.js", b"first"),
            *rename("old.html", "index.html"),
            *delete("gone.css"),
            *delete("never.there"),
            *put("new.js", b"second"),
        ],
    )
    assert {entry.path: entry.sha256 for entry in result.files} == {
        "index.html": sha256(b"old"),
        "new.js": sha256(b"second"),
    }
    assert sorted(result.deleted_paths) == ["gone.css", "never.there", "old.html"]
    assert await read_files(user.internal, project_id) == {
        "index.html": b"old",
        "new.js": b"second",
    }


async def test_a_step_that_fails_undoes_the_whole_write(user: TestUser, project_id: str) -> None:
    await write_files(user.internal, project_id, {"index.html": b"before"})
    before = await _project(user, project_id)
    async with refused(Code.NOT_FOUND) as error:
        await write(
            user.internal,
            project_id,
            [*put("index.html", b"after"), *put("b", b"b"), *rename("missing", "c")],
        )
    assert error.reason == "FILE_NOT_FOUND"
    assert "missing" in error.error.message
    assert await read_files(user.internal, project_id) == {"index.html": b"before"}
    assert await _project(user, project_id) == before


async def test_a_stream_that_breaks_off_writes_nothing(user: TestUser, project_id: str) -> None:
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[projects_pb2.PutFilesRequest]:
        async for message in messages(project_id, put("index.html", b"half")):
            if not message.operation.HasField("end"):
                yield message
        begun.set()
        await asyncio.Event().wait()

    call = user.internal.PutFiles(endless())
    await begun.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await read_files(user.internal, project_id) == {}


async def test_content_that_is_there_already_changes_nothing(
    user: TestUser, project_id: str
) -> None:
    first = await write_files(user.internal, project_id, {"a": b"same", "b": b"same"})
    again = await write_files(user.internal, project_id, {"a": b"same"})
    assert again.files[0] == first.files[0]


async def test_same_content_is_stored_once_for_each_owner(
    projects_service: ProjectsService, projects_urls: DatabaseUrls, user: TestUser, project_id: str
) -> None:
    other = await projects_service.user()
    content = b"stored once " + user.user_id.encode()
    await write_files(user.internal, project_id, {"a": content, "b": content})
    await write_files(user.internal, await user.new_project(), {"c": content})
    await write_files(other.internal, await other.new_project(), {"d": content})
    database = Database(projects_urls.projects, pool_size=1, name="test")
    async with database.begin() as connection:
        query = text("SELECT owner_id FROM blob_chunks WHERE sha256 = :sha256")
        found = await connection.execute(query, {"sha256": sha256(content)})
        assert sorted(found.scalars()) == sorted([user.user_id, other.user_id])
    await database.close()


@pytest.mark.parametrize(
    "steps",
    [
        put("f", b"new", expected=sha256(b"other")),
        put("f", b"new", expected=""),
        put("absent", b"new", expected=sha256(b"now")),
        delete("f", expected=sha256(b"other")),
        rename("f", "g", expected=sha256(b"other")),
    ],
    ids=["put", "put as new", "put where nothing is", "delete", "rename"],
)
async def test_a_file_that_is_not_as_expected_is_left_alone(
    user: TestUser, project_id: str, steps: list[files_pb2.FileOperation]
) -> None:
    await write_files(user.internal, project_id, {"f": b"now"})
    async with refused(Code.FAILED_PRECONDITION) as error:
        await write(user.internal, project_id, steps)
    assert error.reason == "FILE_CHANGED"
    assert error.error.metadata["path"] in {"f", "absent"}
    assert await read_files(user.internal, project_id) == {"f": b"now"}


async def test_a_file_that_is_as_expected_is_changed(user: TestUser, project_id: str) -> None:
    await write(user.internal, project_id, put("f", b"one", expected=""))
    await write(user.internal, project_id, put("f", b"two", expected=sha256(b"one")))
    # The same again: what is wanted is there, whatever was expected.
    await write(user.internal, project_id, put("f", b"two", expected=sha256(b"one")))
    await write(user.internal, project_id, rename("f", "g", expected=sha256(b"two")))
    assert await read_files(user.internal, project_id) == {"g": b"two"}
    await write(user.internal, project_id, delete("g", expected=sha256(b"two")))
    assert await read_files(user.internal, project_id) == {}


async def test_of_two_writers_that_expect_the_same_one_wins(
    user: TestUser, project_id: str
) -> None:
    await write_files(user.internal, project_id, {"f": b"start"})
    calls = (
        write(user.internal, project_id, put("f", b"by %d" % number, sha256(b"start")))
        for number in range(4)
    )
    ends = await asyncio.gather(*(outcome(call) for call in calls))
    assert ends.count("FILE_CHANGED") == 3


async def test_writes_at_once_lose_nothing(user: TestUser, project_id: str) -> None:
    other = await user.new_project()
    # The same contents in two projects of one owner, in opposite orders: nobody may wait for ever.
    names = [f"{number}.txt" for number in range(12)]
    forward = {name: name.encode() for name in names}
    backward = {name: name.encode() for name in names[::-1]}
    await asyncio.gather(
        *(write(user.internal, project_id, put(f"single/{n}", n.encode())) for n in names),
        write_files(user.internal, project_id, forward),
        write_files(user.internal, other, backward),
    )
    found = await read_files(user.internal, project_id)
    assert found == {**forward, **{f"single/{n}": n.encode() for n in names}}
    assert await read_files(user.internal, other) == forward
    counted = await _project(user, project_id)
    assert (counted.file_count, counted.size_bytes) == (
        len(found),
        sum(map(len, found.values())),
    )


async def test_a_repeated_operation_answers_what_it_answered(
    user: TestUser, project_id: str
) -> None:
    who = origin(operation_id="op-1")
    first = await write_files(user.internal, project_id, {"f": b"one"}, who)
    await write_files(user.internal, project_id, {"f": b"two"})
    again = await write_files(user.internal, project_id, {"f": b"one"}, who)
    assert (first.repeated, again.repeated) == (False, True)
    again.repeated = False
    assert again == first
    assert await read_files(user.internal, project_id) == {"f": b"two"}
    async with refused(Code.ABORTED) as error:
        await write_files(user.internal, project_id, {"f": b"three"}, who)
    assert error.reason == "IDEMPOTENCY_CONFLICT"


async def test_one_operation_sent_twice_at_once_is_done_once(
    user: TestUser, project_id: str
) -> None:
    await write_files(user.internal, project_id, {"a": b"a"})
    who = origin(operation_id="move")
    # Done twice it would fail: the file is no longer there.
    calls = (write(user.internal, project_id, rename("a", "b"), who) for _ in range(3))
    results = await asyncio.gather(*calls)
    assert sorted(result.repeated for result in results) == [False, True, True]
    for result in results:
        result.repeated = False
    assert results[0] == results[1] == results[2]
    assert await read_files(user.internal, project_id) == {"b": b"a"}


async def test_old_operations_are_forgotten_when_a_version_is_committed(
    projects_urls: DatabaseUrls, user: TestUser, project_id: str
) -> None:
    await write_files(user.internal, project_id, {"f": b"1"}, origin(operation_id="old"))
    await write_files(user.internal, project_id, {"g": b"1"}, origin(operation_id="new"))
    database = Database(projects_urls.projects, pool_size=1, name="test")
    mine = {"project": project_id}
    async with database.begin() as connection:
        aged = "UPDATE operations SET created_at = now() - interval '25 hours'"
        await connection.execute(
            text(f"{aged} WHERE project_id = :project AND operation_id = 'old'"), mine
        )
    await commit(user.internal, project_id)
    async with database.begin() as connection:
        query = text("SELECT operation_id FROM operations WHERE project_id = :project")
        assert list((await connection.execute(query, mine)).scalars()) == ["new"]
    await database.close()


async def test_a_worker_that_lost_its_lease_writes_nothing(user: TestUser, project_id: str) -> None:
    await write_files(user.internal, project_id, {"f": b"by 2"}, origin("gen-1", 2))
    async with refused(Code.ABORTED) as error:
        await write_files(user.internal, project_id, {"f": b"by 1"}, origin("gen-1", 1))
    assert error.reason == "STALE_EPOCH"
    await write_files(user.internal, project_id, {"f": b"by 2 again"}, origin("gen-1", 2))
    await write_files(user.internal, project_id, {"g": b"other"}, origin("gen-2", 1))
    assert await read_files(user.internal, project_id) == {"f": b"by 2 again", "g": b"other"}


async def test_a_refused_write_does_not_raise_the_fence(user: TestUser, project_id: str) -> None:
    async with refused(Code.NOT_FOUND):
        await write(user.internal, project_id, rename("no", "where"), origin("gen-1", 9))
    await write_files(user.internal, project_id, {"f": b"by 1"}, origin("gen-1", 1))


async def test_a_write_that_does_not_know_of_a_reset_is_refused(
    user: TestUser, project_id: str
) -> None:
    async def put_after(change: int | None, name: str) -> None:
        async def stream() -> AsyncIterator[projects_pb2.PutFilesRequest]:
            header = projects_pb2.PutFilesHeader(project_id=project_id, seen_change=change)
            yield projects_pb2.PutFilesRequest(header=header)
            for step in [*put(name, b"x"), END]:
                yield projects_pb2.PutFilesRequest(operation=step)

        await user.internal.PutFiles(stream())

    await put_after(0, "before.txt")
    await commit(user.internal, project_id, "gen-1", keep_head=True)
    async with refused(Code.FAILED_PRECONDITION) as found:
        await put_after(0, "late.txt")
    assert found.reason == "FILES_RESET"
    reset = int(found.error.metadata["change"])
    async with refused(Code.FAILED_PRECONDITION):
        await put_after(reset - 1, "late.txt")
    assert await list_files(user.internal, project_id) == {}
    await put_after(reset, "after.txt")
    await put_after(None, "whatever.txt")
    assert set(await list_files(user.internal, project_id)) == {"after.txt", "whatever.txt"}
