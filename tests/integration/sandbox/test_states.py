"""A state machine over everything that happens to sandboxes: rows, engine, ledger and projects agree after one sweep.

The replica in this process sweeps and serves; another one, in a process of its own, is killed in the middle of things,
and so is the engine.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from kit.errors import (
    FailedPrecondition,
    NotFound,
    QuotaExceeded,
    ServiceError,
    Unavailable,
)
from protos.projects.v1 import projects_pb2
from services.sandbox.model import SITE
from services.sandbox.vendor import VendorState
from tests.fixtures.postgres import Postgres
from tests.fixtures.project_files import list_files
from tests.fixtures.projects import TestUser
from tests.fixtures.sandbox_world import World, breakable_sandboxes

_PROJECTS = 3
_MAX_ACTIVE = 2
_WHICH = st.integers(0, _PROJECTS - 1)
_SHOWN = {
    "active": projects_pb2.SANDBOX_STATUS_ACTIVE,
    "paused": projects_pb2.SANDBOX_STATUS_PAUSED,
    "closed": projects_pb2.SANDBOX_STATUS_INACTIVE,
}
# What may be answered to a use: the limit, that there is none to use, that it is to be tried again.
_ANSWERS = (NotFound, QuotaExceeded, FailedPrecondition, Unavailable)


class SandboxMachine(RuleBasedStateMachine):
    """Three projects of one user, of which two sandboxes may run; the last project's is kept."""

    def __init__(self, world: World, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.world = world
        self.loop = loop
        self.user: TestUser
        self.projects: list[str] = []
        self.crashes = 0
        self.made: dict[str, dict[str, str]] = {}
        """By project: hashes of what finished commands have made in names of their own."""
        self.gone: dict[str, set[str]] = {}
        """By project: names that finished commands have removed, and nobody has tried to write since."""

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(work, 60))

    @property
    def caller(self) -> Any:
        return self.world.service.as_user(self.user)

    @initialize()
    def begin(self) -> None:
        async def projects() -> None:
            self.user = await self.world.projects.user()
            for number in range(_PROJECTS):
                request = projects_pb2.CreateProjectRequest(
                    name="p", persistent_sandbox=number == _PROJECTS - 1
                )
                made = await self.user.projects.CreateProject(request)
                self.projects.append(made.project_id)

        self.run(projects())

    @rule(which=_WHICH, method=st.sampled_from(["create", "pause", "resume", "close"]))
    def call(self, which: int, method: str) -> None:
        self.use(getattr(self.caller, method)(self.projects[which]))

    @rule(which=_WHICH, seconds=st.sampled_from([0, 60, 7200, 86_400]))
    def extend(self, which: int, seconds: int) -> None:
        self.use(self.caller.extend(self.projects[which], seconds))

    @rule(which=_WHICH, name=st.sampled_from(["index.html", "css/a.css", "b.txt"]))
    def write(self, which: int, name: str) -> None:
        self.gone.get(self.projects[which], set()).discard(name)
        self.use(self.caller.upload(self.projects[which], name, os.urandom(32)))

    @rule(
        which=_WHICH, name=st.sampled_from(["made.txt", "out/made.css"]), number=st.integers(0, 99)
    )
    def command(self, which: int, name: str, number: int) -> None:
        """A command that writes a file inside."""
        project_id = self.projects[which]
        self.gone.get(project_id, set()).discard(name)

        async def made() -> None:
            done = await self.caller.run_to_end(
                project_id, f"mkdir -p out && echo -n {number} > {name}"
            )
            assert done.exited.exit_code == 0
            content = hashlib.sha256(str(number).encode()).hexdigest()
            self.made.setdefault(project_id, {})[name] = content

        self.use(made())

    @rule(which=_WHICH, name=st.sampled_from(["made.txt", "index.html", "css/a.css"]))
    def command_removes(self, which: int, name: str) -> None:
        """A command that removes a file inside."""
        project_id = self.projects[which]
        # Whether one that did not finish has removed it can't be known.
        self.made.get(project_id, {}).pop(name, None)

        async def removed() -> None:
            done = await self.caller.run_to_end(project_id, f"rm -f {name}")
            assert done.exited.exit_code == 0
            self.gone.setdefault(project_id, set()).add(name)

        self.use(removed())

    @rule(which=_WHICH, number=st.integers(0, 99))
    def work_by_itself(self, which: int, number: int) -> None:
        """Something inside writes a file that nobody sees before the sandbox's time is over."""
        project_id = self.projects[which]

        async def made() -> None:
            row = await self.row(project_id)
            if row is None or row["status"] != "active":
                return
            live = await self.world.service.parts.vendor.connect(row["vendor_id"])
            await live.run(f"echo -n {number} > {SITE}/unseen.txt")
            content = hashlib.sha256(str(number).encode()).hexdigest()
            self.made.setdefault(project_id, {})["unseen.txt"] = content

        self.run(made())
        self.expire(which)

    @rule(which=_WHICH)
    def litter(self, which: int) -> None:
        """A program inside removes a file of the project, and the sandbox is put to sleep or used on."""

        async def remove() -> None:
            row = await self.row(self.projects[which])
            if row is not None and row["status"] == "active":
                live = await self.world.service.parts.vendor.connect(row["vendor_id"])
                await live.remove(f"{SITE}/index.html")
                await self.caller.pause(self.projects[which])

        self.run(remove())
        self.check()

    @rule(which=_WHICH)
    def expire(self, which: int) -> None:
        self.run(
            self.world.service.sql(
                "UPDATE sandboxes SET expires_at = now() WHERE project_id = :id AND status = 'active'",
                id=self.projects[which],
            )
        )
        self.check()

    @rule(which=_WHICH)
    def vanish(self, which: int) -> None:
        async def kill() -> None:
            row = await self.row(self.projects[which])
            if row is not None and row["vendor_id"]:
                await self.world.service.parts.vendor.kill(row["vendor_id"])

        self.run(kill())
        self.check()

    @precondition(lambda self: self.crashes < 2)
    @rule()
    def crash_of_the_engine(self) -> None:
        self.crashes += 1
        self.run(self.world.kill_engine())
        self.check()

    @precondition(lambda self: self.crashes < 2)
    @rule(
        which=_WHICH,
        method=st.sampled_from(["create", "pause", "resume", "close", "extend", "upload"]),
        ms=st.integers(1, 300),
    )
    def crash_of_the_service(self, which: int, method: str, ms: int) -> None:
        self.crashes += 1
        # An upload that was cut off may have been stored.
        self.gone.pop(self.projects[which], None)
        self.run(self.world.kill_service_in(method, self.projects[which], self.user, ms))
        self.check()

    def use(self, work: Coroutine[Any, Any, Any]) -> None:
        async def used() -> None:
            try:
                await work
            except _ANSWERS:
                return
            except ServiceError as exc:
                raise AssertionError(exc.reason) from exc

        self.run(used())
        self.check()

    def check(self) -> None:
        """After one sweep everything agrees."""
        self.run(self.world.service.parts.sweep.once())
        self.run(self.agree())

    async def row(self, project_id: str) -> dict[str, Any] | None:
        rows = await self.world.service.sql(
            "SELECT * FROM sandboxes WHERE project_id = :id ORDER BY sandbox_id DESC LIMIT 1",
            id=project_id,
        )
        return rows[0] if rows else None

    async def agree(self) -> None:
        service = self.world.service
        rows = [row for one in self.projects if (row := await self.row(one)) is not None]
        running = {row["sandbox_id"] for row in rows if row["status"] == "active"}
        assert {row["status"] for row in rows} <= set(_SHOWN)
        assert len(running) <= _MAX_ACTIVE
        counted = await service.sql(
            "SELECT sandbox_id FROM intervals WHERE ended_at IS NULL AND owner_id = :id",
            id=self.user.user_id,
        )
        assert {one["sandbox_id"] for one in counted} == running
        ours = {row["vendor_id"] for row in rows if row["status"] != "closed"} - {""}
        assert await service.at_vendor() == ours
        for row in rows:
            await self.row_agrees(row)
        for project_id, made in self.made.items():
            stored = await list_files(self.user.projects, project_id)
            assert made.items() <= stored.items()
        for project_id, gone in self.gone.items():
            assert not gone & (await list_files(self.user.projects, project_id)).keys()

    async def row_agrees(self, row: dict[str, Any]) -> None:
        project_id, status = row["project_id"], row["status"]
        request = projects_pb2.GetProjectRequest(project_id=project_id)
        project = await self.user.projects.GetProject(request)
        assert project.sandbox_status == _SHOWN[status]
        assert project.sandbox_id == ("" if status == "closed" else row["sandbox_id"])
        # Nobody closes a kept one but its user.
        kept = project_id == self.projects[-1]
        assert not kept or row["close_reason"] in {None, "user", "failed"}
        vendor = self.world.service.parts.vendor
        if status == "paused" and row["vendor_id"]:
            assert await vendor.state(row["vendor_id"]) is VendorState.PAUSED
        if status == "active":
            assert await vendor.state(row["vendor_id"]) is VendorState.RUNNING
            live = await vendor.connect(row["vendor_id"])
            hashes = await live.hashes(SITE)
            stored = await list_files(self.user.projects, project_id)
            assert {f"{SITE}/{path}": one for path, one in stored.items()} == hashes

    def teardown(self) -> None:
        async def close() -> None:
            for project_id in self.projects:
                request = projects_pb2.DeleteProjectRequest(project_id=project_id)
                await self.user.projects.DeleteProject(request)
                await self.world.service.sql(
                    "UPDATE sandboxes SET status = 'closed', close_reason = 'user'"
                    " WHERE project_id = :id",
                    id=project_id,
                )
            await self.world.service.parts.sweep.once()

        self.run(close())


def test_rows_engine_ledger_and_projects_agree_whatever_happens(
    postgres: Postgres, key_folder: Path, tmp_path: Path
) -> None:
    loop = asyncio.new_event_loop()
    world_context = breakable_sandboxes(postgres, key_folder, tmp_path, _MAX_ACTIVE)
    try:
        world = loop.run_until_complete(world_context.__aenter__())
        try:
            run_state_machine_as_test(
                # Any callable will do; the annotation knows of classes only.
                lambda: SandboxMachine(world, loop),  # type: ignore[arg-type]
                settings=settings(
                    max_examples=4,
                    stateful_step_count=10,
                    deadline=None,
                    database=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            loop.run_until_complete(world_context.__aexit__(None, None, None))
    finally:
        loop.close()
