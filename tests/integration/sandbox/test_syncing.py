"""What is done inside a sandbox reaches the store, and nothing else does. Over the real engine."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from kit.testing import eventually
from protos.sandbox.v1 import sandbox_pb2
from services.sandbox.model import SITE, Sandbox
from services.sandbox.repository import Repository
from tests.fixtures.engine import RunningEngine
from tests.fixtures.postgres import DatabaseUrls
from tests.fixtures.project_files import commit
from tests.fixtures.projects import ProjectsService
from tests.fixtures.sandbox import put, running_sandboxes
from tests.fixtures.sandbox_files import BothSides, hashes

START = {"index.html": b"<p>", "css/site.css": b"p {}", "gone.txt": b"gone"}


@pytest.fixture
async def project(both_sides: BothSides) -> BothSides:
    """A project with files and a sandbox."""
    steps = [step for path, data in START.items() for step in put(path, data)]
    await both_sides.service.as_service(both_sides.user).write(both_sides.id, *steps)
    return both_sides


async def row(project: BothSides) -> Sandbox:
    """The project's sandbox."""
    database = project.service.parts.database
    async with database.begin() as connection:
        found = await Repository(connection).latest(project.id, project.user.user_id)
    assert found is not None
    return found


async def sync(project: BothSides) -> bool:
    return await project.service.parts.syncing.sync(await row(project))


@asynccontextmanager
async def in_use(project: BothSides) -> AsyncIterator[None]:
    """Somebody watches the project's files."""
    async with aclosing(project.own.watch(project.id)) as events:  # type: ignore[type-var]  # it is a generator
        await anext(events)
        yield


async def test_what_is_made_changed_and_removed_inside_reaches_the_store(
    project: BothSides,
) -> None:
    async with in_use(project):
        await project.run(
            "echo -n new > new.txt && mkdir -p a/b && echo -n deep > 'a/b/d e \u00e9.txt'"
            " && echo -n changed > index.html && rm gone.txt && mv css/site.css css/moved.css"
        )
        assert await project.has_stored(
            {
                "index.html": b"changed",
                "new.txt": b"new",
                "a/b/d e \u00e9.txt": b"deep",
                "css/moved.css": b"p {}",
            }
        )
    assert await project.inside() == await project.stored()
    assert not (await project.service.row(project.id))["unsettled"]


async def test_binary_and_large_files_are_taken_over_whole(project: BothSides) -> None:
    await project.run("head -c 3000000 /dev/urandom > data.bin && : > empty")
    assert await sync(project)
    assert await project.stored() == await project.inside()
    assert (await project.stored())["empty"] == hashlib.sha256(b"").hexdigest()


async def test_a_file_becomes_a_folder_and_a_folder_a_file(project: BothSides) -> None:
    await project.run(
        "rm gone.txt && mkdir gone.txt && echo -n x > gone.txt/x && rm -r css && echo -n y > css"
    )
    assert await sync(project)
    wanted = {"index.html": b"<p>", "gone.txt/x": b"x", "css": b"y"}
    assert await project.stored() == hashes(wanted)


async def test_what_is_ignored_or_no_file_stays_inside(project: BothSides) -> None:
    await project.run(
        "mkdir -p node_modules/x .git/objects sub/__pycache__ && touch node_modules/x/y .git/HEAD"
        " sub/__pycache__/z.pyc .a.swp && ln -s index.html link && mkfifo pipe && echo -n k > sub/kept"
    )
    assert await sync(project)
    assert await project.stored() == hashes({**START, "sub/kept": b"k"})


async def test_a_file_of_the_store_that_is_a_link_inside_is_not_removed(project: BothSides) -> None:
    await project.run("mv gone.txt other.txt && ln -s other.txt gone.txt")
    assert await sync(project)
    assert await project.stored() == hashes({**START, "other.txt": b"gone"})


async def test_what_no_project_may_have_is_left_out_and_the_rest_is_not(project: BothSides) -> None:
    await project.run(
        r"touch 'back\slash' $'new\nline' $'bad\xff' && head -c 10485761 /dev/zero > large.bin"
        " && head -c 10485760 /dev/zero > limit.bin && echo -n x > good.txt"
    )
    assert await sync(project)
    wanted = {**START, "good.txt": b"x", "limit.bin": bytes(10 * 1024 * 1024)}
    assert await project.stored() == hashes(wanted)
    # A file that grows too large is not removed for that.
    await project.run("head -c 10485761 /dev/zero > index.html")
    assert await sync(project)
    assert await project.stored() == hashes(wanted)


async def test_a_folder_that_can_not_be_read_is_not_taken_for_an_empty_one(
    project: BothSides,
) -> None:
    await project.run("chmod 000 css && rm gone.txt && echo -n new > new.txt")
    assert await sync(project)
    assert await project.stored() == hashes({**START, "new.txt": b"new"})
    await project.run("chmod 755 css")
    assert await sync(project)
    assert "gone.txt" not in await project.stored()


async def test_more_files_than_a_project_has_are_left_out(
    sandbox_urls: DatabaseUrls, projects_service: ProjectsService, engine: RunningEngine
) -> None:
    user = await projects_service.user()
    async with running_sandboxes(
        sandbox_urls, projects_service, engine.url, max_project_files=5, max_write_bytes=1000
    ) as service:
        project = BothSides(service, user, await user.new_project())
        await project.own.upload(project.id, "z.txt", b"z")
        await project.run("touch a b c d e f && echo -n Z > z.txt")
        assert await sync(project)
        assert set(await project.stored()) == {"a", "b", "c", "d", "z.txt"}
        await project.run(
            "rm a b c d e f && head -c 600 /dev/zero > a && head -c 500 /dev/zero > b"
        )
        assert await sync(project)
        # What does not fit stays as the store has it.
        assert await project.stored() == hashes({"a": bytes(600), "b": b"", "z.txt": b"Z"})


async def test_our_own_writes_are_not_taken_for_edits(project: BothSides) -> None:
    puts: list[Any] = []
    peer = project.service.parts.syncing._projects
    real = peer.put

    async def counted(*arguments: Any, **options: Any) -> Any:
        if options.get("seen_change") is not None:
            puts.append(arguments)
        return await real(*arguments, **options)

    peer.put = counted  # type: ignore[method-assign]  # counted, and passed on
    async with in_use(project):
        for number in range(5):
            await project.own.upload(project.id, "index.html", b"x" * number)
        await project.own.delete(project.id, "gone.txt")
        await project.run("echo -n last > last.txt")

        async def there() -> bool:
            return "last.txt" in await project.stored()

        assert await eventually(there)
    (steps,) = [arguments[2] for arguments in puts]
    assert [step.path for step in steps] == ["last.txt"]


async def test_writes_from_both_sides_at_once_end_alike(project: BothSides) -> None:
    async def inside() -> None:
        for number in range(15):
            await project.run(f"echo -n {number} > mine.txt && echo -n inside{number} > both.txt")

    async def outside() -> None:
        for number in range(15):
            await project.own.upload(project.id, "both.txt", f"outside{number}".encode())

    async with in_use(project):
        await asyncio.gather(inside(), outside())

        async def alike() -> bool:
            stored = await project.stored()
            return stored == await project.inside() and "mine.txt" in stored

        assert await eventually(alike)


async def test_a_half_filled_sandbox_removes_nothing(project: BothSides) -> None:
    """Somebody died while the sandbox was filled or written: that is noted, and the store is the truth."""
    await project.service.sql("UPDATE sandboxes SET unsettled = true, dirt = dirt + 1")
    await project.run("rm -r index.html css && echo -n stale > gone.txt")
    await eventually(lambda: sync(project))
    assert await project.stored() == hashes(START)
    assert await project.inside() == hashes(START)


async def test_a_sandbox_that_is_still_being_made_is_not_looked_at(project: BothSides) -> None:
    before = await row(project)
    await project.service.sql("UPDATE sandboxes SET status = 'creating'")
    await project.run("rm -r index.html css gone.txt")
    assert await project.service.parts.syncing.sync(before)
    assert await project.stored() == hashes(START)


async def test_a_project_folder_that_is_gone_is_filled_again(project: BothSides) -> None:
    async with in_use(project):
        await (await project.live()).run(f"rm -rf {SITE}")

        async def filled() -> bool:
            entries = await (await project.live()).list("/home/user", 1)
            return any(one.path == SITE for one in entries) and await project.inside() == hashes(
                START
            )

        assert await eventually(filled)
        # And it is watched again.
        await project.run("echo -n x > after.txt")
        assert await project.has_stored({**START, "after.txt": b"x"})


async def test_a_restore_is_not_undone_by_what_the_sandbox_still_has(
    sandbox_urls: DatabaseUrls, projects_service: ProjectsService, engine: RunningEngine
) -> None:
    """The store went back to a version, and this service has not heard of it yet."""
    user = await projects_service.user()
    async with running_sandboxes(sandbox_urls, projects_service, engine.url) as service:
        project = BothSides(service, user, await user.new_project())
        await project.own.upload(project.id, "index.html", b"kept")
        await commit(user.internal, project.id, "gen-1")
        await project.own.upload(project.id, "index.html", b"discarded")
        await project.own.upload(project.id, "more.txt", b"m")
        before = await row(project)
        # From now on it hears of nothing.
        service.parts.follower.apply = _nothing  # type: ignore[assignment,method-assign]  # a replica that hangs
        await commit(user.internal, project.id, "gen-2", keep_head=True)
        assert not await service.parts.syncing.sync(before)
        assert await project.stored() == hashes({"index.html": b"kept"})


async def _nothing(_: Any) -> None:
    await asyncio.sleep(3600)


async def test_a_restore_reaches_the_sandbox_while_it_is_watched(project: BothSides) -> None:
    await commit(project.user.internal, project.id, "gen-1")
    async with in_use(project):
        await project.run("echo -n edit > index.html && echo -n more > more.txt")
        assert await project.has_stored({**START, "index.html": b"edit", "more.txt": b"more"})
        await commit(project.user.internal, project.id, "gen-2", keep_head=True)

        async def back() -> bool:
            return await project.inside() == hashes(START)

        assert await eventually(back)
        assert await project.has_stored(START)


async def test_another_service_takes_over_what_the_first_one_did_not_live_to_see(
    project: BothSides,
    sandbox_urls: DatabaseUrls,
    projects_service: ProjectsService,
    engine: RunningEngine,
) -> None:
    await project.run("echo -n unseen > unseen.txt && rm gone.txt")
    deployment = project.service.settings.deployment
    async with running_sandboxes(
        sandbox_urls, projects_service, engine.url, deployment=deployment
    ) as other:
        there = BothSides(other, project.user, project.id)
        async with in_use(there):
            wanted = {path: data for path, data in START.items() if path != "gone.txt"}
            assert await there.has_stored({**wanted, "unseen.txt": b"unseen"})


async def test_what_goes_on_after_the_last_watcher_is_still_taken_over(project: BothSides) -> None:
    async with in_use(project):
        await (await project.live()).start(f"cd {SITE} && sleep 2 && echo -n late > late.txt")
    assert await project.has_stored({**START, "late.txt": b"late"})


@pytest.mark.parametrize("leave", ["PauseSandbox", "CloseSandbox"])
async def test_what_nobody_has_seen_yet_is_taken_over_before_the_sandbox_leaves(
    project: BothSides, leave: str
) -> None:
    await project.run("echo -n unseen > unseen.txt")
    request = getattr(sandbox_pb2, f"{leave}Request")(project_id=project.id)
    await project.own.call(leave, request)
    assert await project.stored() == hashes({**START, "unseen.txt": b"unseen"})


async def test_a_sandbox_that_goes_in_the_middle_harms_nothing(project: BothSides) -> None:
    before = await row(project)
    await project.run("echo -n x > new.txt")
    await project.service.parts.vendor.kill(before.vendor_id)
    assert await project.service.parts.syncing.sync(before)
    assert await project.stored() == hashes(START)
    await project.own.create(project.id)
    assert await project.service.parts.syncing.sync(before)
    assert await project.stored() == await project.inside() == hashes(START)


async def test_a_file_that_never_rests_holds_nobody_up(project: BothSides) -> None:
    await (await project.live()).start(
        f"cd {SITE} && for i in $(seq 3000); do echo $i >> busy.log; done; echo -n done > done.txt"
    )
    async with in_use(project):
        entry = await asyncio.wait_for(project.own.upload(project.id, "index.html", b"new"), 20)
        assert entry.size_bytes == 3

        async def alike() -> bool:
            stored = await project.stored()
            return "done.txt" in stored and stored == await project.inside()

        assert await eventually(alike)


async def test_installed_modules_outlive_a_restore(project: BothSides) -> None:
    await commit(project.user.internal, project.id, "gen-1")
    await project.run(
        "mkdir -p sub/node_modules/x && touch sub/node_modules/x/y && echo -n e > index.html"
    )
    assert await sync(project)
    await commit(project.user.internal, project.id, "gen-2", keep_head=True)

    async def back() -> bool:
        return await project.inside() == hashes({**START, "sub/node_modules/x/y": b""})

    assert await eventually(back)
    assert (await project.own.get(project.id)).status == sandbox_pb2.SANDBOX_STATUS_ACTIVE
