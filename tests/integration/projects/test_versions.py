"""Versions: what CommitVersion keeps, where the head goes, and what is repeated safely."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from protos.projects.v1 import projects_pb2
from tests.fixtures.project_files import (
    commit,
    delete,
    list_files,
    origin,
    outcome,
    read_files,
    refused,
    write,
    write_files,
)
from tests.fixtures.projects import TestUser

Code = grpc.StatusCode


async def _head(user: TestUser, project_id: str) -> int:
    request = projects_pb2.GetProjectRequest(project_id=project_id)
    return (await user.projects.GetProject(request)).head_version


async def _versions(user: TestUser, project_id: str) -> list[projects_pb2.Version]:
    request = projects_pb2.ListVersionsRequest(project_id=project_id)
    return list((await user.projects.ListVersions(request)).versions)


async def test_a_commit_makes_the_next_version_and_moves_the_head(
    user: TestUser, project_id: str
) -> None:
    await write_files(user.internal, project_id, {"a": b"12", "b": b"345"})
    first = await commit(user.internal, project_id, "gen-1", title="A bakery\nin  Lisbon")
    assert first.created
    version = first.version
    assert (version.number, version.head, version.partial) == (1, True, False)
    assert (version.file_count, version.size_bytes) == (2, 5)
    assert (version.title, version.generation_id) == ("A bakery in Lisbon", "gen-1")
    assert version.cause == projects_pb2.VERSION_CAUSE_GENERATION
    await write(user.internal, project_id, delete("a"))
    second = await commit(user.internal, project_id)
    assert (second.version.number, second.version.title) == (2, "Edit")
    assert await _head(user, project_id) == 2
    assert [(v.number, v.head) for v in await _versions(user, project_id)] == [
        (2, True),
        (1, False),
    ]


async def test_where_nothing_differs_no_version_is_made(user: TestUser, project_id: str) -> None:
    empty = await commit(user.internal, project_id)
    assert not empty.created
    assert not empty.HasField("version")
    await write_files(user.internal, project_id, {"a": b"1"})
    await commit(user.internal, project_id)
    # Away and back again: the files are those of the head.
    await write(user.internal, project_id, delete("a"))
    await write_files(user.internal, project_id, {"a": b"1"})
    again = await commit(user.internal, project_id, "gen-1")
    assert not again.created
    assert (again.version.number, again.version.head) == (1, True)
    assert len(await _versions(user, project_id)) == 1


async def test_a_removed_file_alone_is_a_difference(user: TestUser, project_id: str) -> None:
    await write_files(user.internal, project_id, {"a": b"1"})
    await commit(user.internal, project_id)
    await write(user.internal, project_id, delete("a"))
    emptied = await commit(user.internal, project_id)
    assert (emptied.created, emptied.version.number, emptied.version.file_count) == (True, 2, 0)


async def test_a_generation_commits_once_whatever_came_after(
    user: TestUser, project_id: str
) -> None:
    await write_files(user.internal, project_id, {"a": b"1"}, origin("gen-1", 1))
    first = await commit(user.internal, project_id, "gen-1", 1)
    await write_files(user.internal, project_id, {"a": b"by the user"})
    await commit(user.internal, project_id)
    again = await commit(user.internal, project_id, "gen-1", 2)
    assert again.created
    assert again.version.number == first.version.number == 1
    assert not again.version.head
    assert len(await _versions(user, project_id)) == 2


async def test_a_generation_that_changed_nothing_keeps_to_its_answer(
    user: TestUser, project_id: str
) -> None:
    assert not (await commit(user.internal, project_id, "gen-1")).created
    await write_files(user.internal, project_id, {"a": b"by the user"})
    again = await commit(user.internal, project_id, "gen-1")
    assert not again.created
    assert not again.HasField("version")
    assert await _versions(user, project_id) == []


async def test_commits_of_one_generation_at_once_make_one_version(
    user: TestUser, project_id: str
) -> None:
    await write_files(user.internal, project_id, {"a": b"1"})
    answers = await asyncio.gather(*(commit(user.internal, project_id, "gen-1") for _ in range(4)))
    assert {(a.version.number, a.created) for a in answers} == {(1, True)}
    assert len(await _versions(user, project_id)) == 1


async def test_commits_and_writes_at_once_number_versions_without_gap(
    user: TestUser, project_id: str
) -> None:
    async def work(number: int) -> None:
        await write_files(user.internal, project_id, {f"{number}": b"%d" % number})
        await commit(user.internal, project_id, f"gen-{number}")

    await asyncio.gather(*(work(number) for number in range(6)))
    numbers = [version.number for version in await _versions(user, project_id)]
    assert numbers == list(range(len(numbers), 0, -1))
    newest = await list_files(user.projects, project_id, version=numbers[0])
    assert newest == await list_files(user.projects, project_id)
    assert len(newest) == 6


async def test_edits_found_by_a_generation_are_kept_apart_from_its_own_commit(
    user: TestUser, project_id: str
) -> None:
    await write_files(user.internal, project_id, {"a": b"by the user"})
    edit = await user.internal.CommitVersion(
        projects_pb2.CommitVersionRequest(
            project_id=project_id,
            cause=projects_pb2.VERSION_CAUSE_EDIT,
            origin=origin("gen-1", 1),
        )
    )
    assert (edit.version.number, edit.version.generation_id) == (1, "")
    await write_files(user.internal, project_id, {"a": b"by the model"}, origin("gen-1", 1))
    own = await commit(user.internal, project_id, "gen-1", 1)
    assert (own.created, own.version.number, own.version.generation_id) == (True, 2, "gen-1")


async def test_a_lower_epoch_commits_nothing(user: TestUser, project_id: str) -> None:
    await write_files(user.internal, project_id, {"a": b"1"}, origin("gen-1", 3))
    async with refused(Code.ABORTED) as error:
        await commit(user.internal, project_id, "gen-1", 2)
    assert error.reason == "STALE_EPOCH"
    assert await _versions(user, project_id) == []


async def test_a_write_that_comes_after_its_own_commit_is_too_late(
    user: TestUser, project_id: str
) -> None:
    who = origin("gen-1", 1, "op-1")
    await write_files(user.internal, project_id, {"a": b"1"}, who)
    await commit(user.internal, project_id, "gen-1", 1)
    async with refused(Code.ABORTED) as error:
        await write_files(user.internal, project_id, {"a": b"late"}, origin("gen-1", 1))
    assert error.reason == "STALE_EPOCH"
    # A repetition is answered all the same, and the worker that took over may write.
    await write_files(user.internal, project_id, {"a": b"1"}, who)
    await write_files(user.internal, project_id, {"a": b"2"}, origin("gen-1", 2))
    assert list((await read_files(user.internal, project_id)).values()) == [b"2"]


async def test_keeping_the_head_keeps_the_work_beside_it(user: TestUser, project_id: str) -> None:
    head = {"same": b"same", "changed": b"before", "removed": b"removed"}
    await write_files(user.internal, project_id, head)
    await commit(user.internal, project_id)
    before = await list_files(user.projects, project_id)
    await write_files(user.internal, project_id, {"changed": b"after!", "added": b"new"})
    await write(user.internal, project_id, delete("removed"))
    work = await list_files(user.projects, project_id)

    kept = await commit(user.internal, project_id, "gen-1", partial=True, keep_head=True)
    assert (kept.created, kept.version.number) == (True, 2)
    assert (kept.version.head, kept.version.partial) == (False, True)
    assert await _head(user, project_id) == 1
    assert await list_files(user.projects, project_id) == before
    assert await list_files(user.projects, project_id, version=2) == work
    assert await read_files(user.internal, project_id) == head
    project = await user.projects.GetProject(projects_pb2.GetProjectRequest(project_id=project_id))
    assert (project.file_count, project.size_bytes) == (3, sum(map(len, head.values())))

    again = await commit(user.internal, project_id, "gen-1", partial=True, keep_head=True)
    assert again == kept
    # The next version's number lies above the one that was kept.
    await write_files(user.internal, project_id, {"next": b"x"})
    assert (await commit(user.internal, project_id)).version.number == 3


async def test_keeping_a_head_that_is_not_there_empties_the_project(
    user: TestUser, project_id: str
) -> None:
    await write_files(user.internal, project_id, {"a": b"1"})
    kept = await commit(user.internal, project_id, "gen-1", partial=True, keep_head=True)
    assert (kept.version.number, kept.version.head) == (1, False)
    assert await read_files(user.internal, project_id) == {}
    assert await _head(user, project_id) == 0


async def test_a_generations_commit_names_the_generation(user: TestUser, project_id: str) -> None:
    async with refused(Code.INVALID_ARGUMENT) as error:
        await user.internal.CommitVersion(
            projects_pb2.CommitVersionRequest(
                project_id=project_id, cause=projects_pb2.VERSION_CAUSE_GENERATION
            )
        )
    assert error.fields == ["origin.generation_id"]


async def test_pages_hold_every_version_once_newest_first(user: TestUser, project_id: str) -> None:
    for number in range(5):
        await write_files(user.internal, project_id, {"a": b"%d" % number})
        await commit(user.internal, project_id)
    found: list[int] = []
    token = ""
    while True:
        page = await user.projects.ListVersions(
            projects_pb2.ListVersionsRequest(project_id=project_id, page_size=2, page_token=token)
        )
        found += [version.number for version in page.versions]
        token = page.next_page_token
        if not token:
            break
    assert found == [5, 4, 3, 2, 1]


@pytest.mark.parametrize("token", ["Wy0xXQ", "Wzk5OTk5OTk5OTk5OTk5XQ", "WyJhIl0"])
async def test_a_page_token_with_an_impossible_number_is_refused(
    user: TestUser, project_id: str, token: str
) -> None:
    async with refused(Code.INVALID_ARGUMENT) as error:
        await user.projects.ListVersions(
            projects_pb2.ListVersionsRequest(project_id=project_id, page_token=token)
        )
    assert error.fields == ["page_token"]


async def test_a_project_that_is_deleted_in_the_middle_is_not_found(
    user: TestUser, project_id: str
) -> None:
    delete_it = projects_pb2.DeleteProjectRequest(project_id=project_id)
    await write_files(user.internal, project_id, {"a": b"1"})
    ends = await asyncio.gather(
        outcome(user.projects.DeleteProject(delete_it)),
        *(outcome(write_files(user.internal, project_id, {f"{n}": b"x"})) for n in range(4)),
        outcome(commit(user.internal, project_id, "gen-1")),
    )
    refusals = {end for end in ends if isinstance(end, str)}
    assert refusals <= {"PROJECT_NOT_FOUND"}
    async with refused(Code.NOT_FOUND):
        await read_files(user.internal, project_id)
