"""Commands over REST, through every part of the platform: what they do to files is seen wherever files are seen."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import httpx
import psutil
import pytest

from kit.testing import eventually
from local.stack.client import Client, Json
from tests.fixtures.stack import RunningStack
from tests.fixtures.users import new_project, signed_in

pytestmark = pytest.mark.xdist_group("stack")
SECONDS = 30


class Events:
    """A stream of server-sent events that is read in the background. ``seen`` has names and data, in order."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.seen: list[tuple[str, Json]] = []
        self._came = asyncio.Event()
        self.task = asyncio.create_task(self._read())

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(SECONDS):
            while not condition():
                assert not self.task.done(), self.seen
                self._came.clear()
                await self._came.wait()

    async def _read(self) -> None:
        fields: dict[str, str] = {}
        try:
            async for line in self.response.aiter_lines():
                name, _, value = line.partition(":")
                if name:
                    fields[name] = value.removeprefix(" ")
                elif "data" in fields:
                    self.seen.append((fields["event"], json.loads(fields["data"])))
                    fields = {}
                    self._came.set()
        finally:
            self._came.set()


@asynccontextmanager
async def streaming(
    stack: RunningStack, client: Client, method: str, path: str, body: Json | None = None
) -> AsyncIterator[Events]:
    """The events of a call; leaving ends its request."""
    headers = {"Authorization": client.authorization, "Accept": "text/event-stream"}
    async with (
        httpx.AsyncClient(base_url=stack.api, trust_env=False, timeout=SECONDS) as http,
        http.stream(method, path, headers=headers, json=body) as response,
    ):
        assert response.status_code == 200, await response.aread()
        events = Events(response)
        try:
            yield events
        finally:
            events.task.cancel()
            await asyncio.gather(events.task, return_exceptions=True)


async def run(stack: RunningStack, client: Client, project_id: str, command: str) -> list[Any]:
    """A command from its first event to its last."""
    path = f"/api/projects/{project_id}/sandbox/commands"
    async with streaming(stack, client, "POST", path, {"command": command}) as events:
        async with asyncio.timeout(SECONDS):
            await events.task
        assert [events.seen[0][0], events.seen[-1][0]] == ["started", "exited"]
        return events.seen


async def stored(client: Client, project_id: str) -> dict[str, str]:
    files = (await client.call("GET", f"/api/projects/{project_id}/files"))["files"]
    return {one["path"]: one["sha256"] for one in files}


async def shown(stack: RunningStack, preview_url: str, path: str) -> tuple[int, bytes]:
    """What the preview answers, which is dialled by address: not every machine resolves its name."""
    host = httpx.URL(preview_url).netloc.decode()
    url = f"http://127.0.0.1:{stack.ports['LOCAL_SANDBOXES_PORT']}/{path}"
    async with httpx.AsyncClient(trust_env=False, timeout=SECONDS) as http:
        answer = await http.get(url, headers={"Host": host})
        return answer.status_code, answer.content


async def test_what_a_command_does_to_files_is_in_the_store_the_watch_and_the_preview(
    stack: RunningStack,
) -> None:
    async with signed_in(stack.api) as client:
        project_id = await new_project(client)
        for path in ("kept.css", "changed.css", "deleted.css"):
            await client.put_file(project_id, path, b"p {}")
        sandbox = await client.call("GET", f"/api/projects/{project_id}/sandbox")
        watch = f"/api/projects/{project_id}/sandbox/files:watch"
        async with streaming(stack, client, "GET", watch) as watched:
            await watched.until(lambda: bool(watched.seen))
            events = await run(
                stack,
                client,
                project_id,
                "mkdir -p new && printf 'a {}' > new/made.css && printf 'b {}' > changed.css"
                " && rm deleted.css && echo done",
            )
            assert ("stdout", {"text": "done\n"}) in [
                (name, data.get("stdout")) for name, data in events
            ]
            assert events[-1][1]["exited"]["exitCode"] == 0
            wanted = {"kept.css": b"p {}", "changed.css": b"b {}", "new/made.css": b"a {}"}
            hashes = {path: hashlib.sha256(data).hexdigest() for path, data in wanted.items()}

            async def in_store() -> bool:
                return await stored(client, project_id) == hashes

            assert await eventually(in_store)

            def told() -> set[tuple[str, str]]:
                return {
                    (name, data[name].get("path") or data[name]["file"]["path"])
                    for name, data in watched.seen[1:]
                }

            wanted_events = {
                ("changed", "new/made.css"),
                ("changed", "changed.css"),
                ("removed", "deleted.css"),
            }
            await watched.until(lambda: told() >= wanted_events)
            assert told() == wanted_events
        for path, data in wanted.items():
            assert await client.file(project_id, path) == data
            assert await shown(stack, sandbox["previewUrl"], path) == (200, data)
        assert (await shown(stack, sandbox["previewUrl"], "deleted.css"))[0] == 404


async def test_a_file_of_a_rare_name_is_the_same_by_every_route(stack: RunningStack) -> None:
    names = ["日本 é/-a b#c?d=e&f%41.css", "'$(x)\";[*]~.css", ".well-known/+@:!,.css"]
    async with signed_in(stack.api) as client:
        project_id = await new_project(client)
        for name in names:
            assert (await client.put_file(project_id, name, name.encode()))["path"] == name
        sandbox = await client.call("GET", f"/api/projects/{project_id}/sandbox")
        for name in names:
            assert await client.file(project_id, name) == name.encode()
            seen = await shown(stack, sandbox["previewUrl"], quote(name))
            assert seen == (200, name.encode())
        events = await run(stack, client, project_id, "find . -type f -printf '%P\\n' | sort")
        printed = "".join(data["stdout"]["text"] for name, data in events if name == "stdout")
        assert set(printed.splitlines()) == set(names)


async def test_a_request_that_is_given_up_ends_its_command_and_all_that_it_started(
    stack: RunningStack,
) -> None:
    # Nobody else sleeps so long.
    seconds = str(100_000 + secrets.randbelow(900_000))

    def asleep() -> int:
        return sum(_is_sleep(one, seconds) for one in stack.tree())

    async with signed_in(stack.api) as client:
        project_id = await new_project(client)
        await client.call("POST", f"/api/projects/{project_id}/sandbox")
        path = f"/api/projects/{project_id}/sandbox/commands"
        command = f"sleep {seconds} & setsid sleep {seconds} & echo both; wait"
        async with streaming(stack, client, "POST", path, {"command": command}) as events:
            await events.until(lambda: len(events.seen) == 2)
            assert await eventually(lambda: asleep() == 2)
        assert await eventually(lambda: asleep() == 0)
        # And the sandbox goes on.
        assert (await run(stack, client, project_id, "exit 3"))[-1][1]["exited"]["exitCode"] == 3


def _is_sleep(process: psutil.Process, seconds: str) -> bool:
    try:
        return bool(process.cmdline() == ["sleep", seconds])
    except psutil.Error:
        return False
