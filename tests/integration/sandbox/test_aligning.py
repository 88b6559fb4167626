"""A sandbox that is brought in line with the store loses nothing that was made inside. Over the real engine."""

from __future__ import annotations

from typing import Any

import pytest

from kit.errors import Unavailable
from kit.testing import eventually
from protos.files.v1 import files_pb2
from services.sandbox.model import SITE
from services.sandbox.repository import Repository
from services.sandbox.writing_repository import WritingRepository
from tests.fixtures.project_files import commit
from tests.fixtures.sandbox import put
from tests.fixtures.sandbox_files import BothSides, hashes

START = {"index.html": b"<p>", "css/site.css": b"p {}", "old.txt": b"old"}


@pytest.fixture
async def project(both_sides: BothSides) -> BothSides:
    """A project with files and a sandbox."""
    steps = [step for path, data in START.items() for step in put(path, data)]
    await both_sides.service.as_service(both_sides.user).write(both_sides.id, *steps)
    return both_sides


async def cut_off(project: BothSides, *removing: str) -> None:
    """As a process leaves it that died after the store's yes to a write."""
    async with project.service.parts.database.begin() as connection:
        sandbox_id = (await project.service.row(project.id))["sandbox_id"]
        assert await WritingRepository(connection).unsettle(sandbox_id, removing)


async def sync(project: BothSides) -> bool:
    async with project.service.parts.database.begin() as connection:
        found = await Repository(connection).running(project.id, project.user.user_id)
    assert found is not None
    return await project.service.parts.syncing.sync(found)


async def test_what_was_made_inside_outlives_a_write_that_was_cut_off_and_is_taken_over(
    project: BothSides,
) -> None:
    await project.run("mkdir -p made/deep && echo -n m > made/deep/a.txt && rm index.html")
    await cut_off(project)
    assert await eventually(lambda: sync(project))
    assert await project.stored() == hashes({**START, "made/deep/a.txt": b"m"})
    assert await project.inside() == await project.stored()


async def test_what_was_made_inside_outlives_the_next_write(project: BothSides) -> None:
    await project.run("echo -n m > made.txt")
    await cut_off(project)
    await project.own.upload(project.id, "next.txt", b"n")
    assert (await project.inside()) == hashes({**START, "made.txt": b"m", "next.txt": b"n"})


@pytest.mark.parametrize("how", ["delete", "rename"])
async def test_what_a_write_took_away_that_was_cut_off_does_not_come_back(
    project: BothSides, how: str
) -> None:
    step = (
        files_pb2.FileOperation(delete=files_pb2.FileDelete(path="old.txt"))
        if how == "delete"
        else files_pb2.FileOperation(
            rename=files_pb2.FileRename(from_path="old.txt", to_path="new.txt")
        )
    )
    peer = project.service.parts.syncing._projects
    real = peer.put

    async def answer_is_lost(*arguments: Any, **options: Any) -> Any:
        peer.put = real  # type: ignore[method-assign]  # once
        await real(*arguments, **options)
        raise Unavailable("the answer was not heard")

    peer.put = answer_is_lost  # type: ignore[method-assign]  # as if the service had died then
    with pytest.raises(Unavailable):
        await project.service.as_service(project.user).write(project.id, step)
    await project.run("echo -n m > made.txt")
    assert "old.txt" in await project.inside()
    assert await eventually(lambda: sync(project))
    wanted = {**START, "made.txt": b"m"} | ({"new.txt": b"old"} if how == "rename" else {})
    del wanted["old.txt"]
    assert await project.stored() == await project.inside() == hashes(wanted)
    row = await project.service.row(project.id)
    assert (row["unsettled"], row["removing"], row["reset"]) == (False, [], False)


async def test_a_reset_takes_away_what_the_version_had_not(project: BothSides) -> None:
    await commit(project.user.internal, project.id, "gen-1")
    await project.own.upload(project.id, "later.txt", b"l")
    await project.run("mkdir empty && echo -n m > made.txt")
    await commit(project.user.internal, project.id, "gen-2", keep_head=True)

    async def back() -> bool:
        row = await project.service.row(project.id)
        return not row["unsettled"] and await project.inside() == hashes(START)

    assert await eventually(back)
    assert set(await project.own.list(project.id)) == {*START, "css"}
    assert not (await project.service.row(project.id))["reset"]


async def test_what_was_made_inside_outlives_a_sleep_that_nobody_saw_coming(
    project: BothSides,
) -> None:
    await project.run("echo -n m > made.txt")
    vendor = project.service.parts.vendor
    await vendor.pause((await project.service.row(project.id))["vendor_id"])
    assert await project.own.read(project.id, "made.txt") == b"m"
    assert await eventually(lambda: sync(project))
    assert await project.stored() == hashes({**START, "made.txt": b"m"})


async def test_bringing_in_line_does_not_look_into_what_is_ignored(
    project: BothSides, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tens of thousands of files may lie there."""
    await project.run(
        "mkdir -p node_modules/big sub/.git && touch node_modules/big/{1..200} sub/.git/HEAD"
        " && mkfifo pipe && rm index.html"
    )
    live = await project.live()
    seen: list[str] = []
    real = type(live)._looked

    async def noted(self: Any, command: str) -> Any:
        found = await real(self, command)
        seen.append(found[1])
        return found

    async def listed(*_: Any) -> Any:
        raise AssertionError("everything is listed")

    monkeypatch.setattr(type(live), "_looked", noted)
    monkeypatch.setattr(type(live), "list", listed)
    await commit(project.user.internal, project.id, "gen-1")
    await project.own.upload(project.id, "old.txt", b"newer")
    await commit(project.user.internal, project.id, "gen-2", keep_head=True)

    async def back() -> bool:
        return not (await project.service.row(project.id))["unsettled"] and bool(seen)

    assert await eventually(back)
    assert not any("node_modules/" in printed or ".git/" in printed for printed in seen)
    monkeypatch.undo()
    assert "sub/.git/HEAD" in await project.inside()
    assert (await project.run(f"ls {SITE}/node_modules/big | wc -l")).strip() == "200"
