"""A prompt becomes a website that a browser shows, over REST, through every part of the platform."""

from __future__ import annotations

import hashlib
from contextlib import suppress

import psutil
import pytest
from playwright.async_api import Browser

from kit.testing import eventually
from local.stack.client import ApiError, Client, Event, Json
from tests.fixtures.stack import RunningStack
from tests.fixtures.users import all_events, generate, new_project, signed_in

pytestmark = pytest.mark.xdist_group("stack")
PROMPT = "a landing page for a bakery in Lisbon called “Pão & Alma”"


async def _make(stack: RunningStack) -> tuple[list[Event], Json, list[Json], dict[str, bytes]]:
    async with signed_in(stack.api) as client:
        project_id = await new_project(client)
        generation_id = await generate(client, project_id, PROMPT)
        events = await all_events(client, generation_id)
        generation = await client.call("GET", f"/api/generations/{generation_id}")
        files = (await client.call("GET", f"/api/projects/{project_id}/files"))["files"]
        contents = {f["path"]: await client.file(project_id, f["path"]) for f in files}
        await _sandbox_agrees(client, project_id, contents)
    return events, generation, files, contents


async def _sandbox_agrees(client: Client, project_id: str, contents: dict[str, bytes]) -> None:
    listed = await client.call("GET", f"/api/projects/{project_id}/sandbox/files")
    in_sandbox = {e["path"]: e["sizeBytes"] for e in listed["entries"] if e["type"] == "file"}
    assert in_sandbox == {path: len(content) for path, content in contents.items()}


async def test_a_prompt_becomes_files_in_the_store_and_in_the_sandbox_and_a_version(
    stack: RunningStack,
) -> None:
    events, generation, files, contents = await _make(stack)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert [
        event.name for event in events if event.name in {"succeeded", "failed", "cancelled"}
    ] == ["succeeded"]
    written = {
        e.data["fileWritten"]["path"]: e.data["fileWritten"]
        for e in events
        if e.name == "file_written"
    }
    assert {"index.html"} < set(written)
    for file in files:
        content = contents[file["path"]]
        assert (
            file["sha256"] == hashlib.sha256(content).hexdigest() == written[file["path"]]["sha256"]
        )
    assert "Pão &amp; Alma" in contents["index.html"].decode()
    assert (generation["status"], generation["version"]) == ("succeeded", 1)
    assert generation["usage"]["outputTokens"] > 0


async def test_the_deltas_of_a_file_are_its_content(stack: RunningStack) -> None:
    events, _, _, contents = await _make(stack)
    typed: dict[str, str] = {}
    for event in events:
        if event.name == "file_delta":
            delta = event.data["fileDelta"]
            assert delta["offset"] == len(typed.get(delta["path"], ""))
            typed[delta["path"]] = typed.get(delta["path"], "") + delta["text"]
    assert {path: text.encode() for path, text in typed.items()} == contents


@pytest.mark.asyncio(loop_scope="session")
async def test_the_preview_shows_the_page_in_a_browser_without_a_console_error(
    stack: RunningStack, browser: Browser
) -> None:
    async with signed_in(stack.api) as client:
        project_id = await new_project(client)
        events = await all_events(client, await generate(client, project_id, PROMPT))
    page = await browser.new_page()
    complaints: list[str] = []
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(request.url))
    response = await page.goto(events[-1].data["succeeded"]["previewUrl"], wait_until="load")
    assert response is not None
    assert response.status == 200
    assert await page.locator("h1").first.is_visible()
    assert "Pão & Alma" in await page.inner_text("body")
    assert complaints == []
    await page.close()


async def test_the_answer_of_a_created_sandbox_is_exactly_as_promised(stack: RunningStack) -> None:
    async with signed_in(stack.api) as client:
        project_id = await new_project(client)
        answer = await client.call("POST", f"/api/projects/{project_id}/sandbox")
        assert set(answer) == {"message", "sandboxId", "sandboxUrl", "status", "expiresAt"}
        assert answer["message"] == "Sandbox created successfully"
        assert answer["status"] == "active"
        project = await client.call("GET", f"/api/projects/{project_id}")
        assert (project["sandboxId"], project["sandboxStatus"]) == (answer["sandboxId"], "active")
        closed = await client.call("DELETE", f"/api/projects/{project_id}/sandbox")
        assert (closed["status"], closed["closeReason"]) == ("closed", "user")
        project = await client.call("GET", f"/api/projects/{project_id}")
        assert (project["sandboxId"], project["sandboxStatus"]) == ("", "inactive")


async def test_a_follow_up_prompt_changes_the_site_and_makes_the_next_version(
    stack: RunningStack,
) -> None:
    async with signed_in(stack.api) as client:
        project_id = await new_project(client)
        await all_events(client, await generate(client, project_id, PROMPT))
        before = await client.file(project_id, "index.html")
        events = await all_events(
            client, await generate(client, project_id, "change the title to Forno Novo")
        )
        assert events[-1].data["succeeded"]["version"] == 2
        after = await client.file(project_id, "index.html")
        assert after != before
        assert b"Forno Novo" in after
        versions = (await client.call("GET", f"/api/projects/{project_id}/versions"))["versions"]
        assert [(v["number"], v["cause"], v["head"]) for v in versions] == [
            (2, "generation", True),
            (1, "generation", False),
        ]


async def test_a_lost_sandbox_is_replaced_and_filled_from_the_store_by_the_next_write(
    stack: RunningStack,
) -> None:
    async with signed_in(stack.api) as client:
        project_id = await new_project(client)
        await all_events(client, await generate(client, project_id, PROMPT))
        first = await client.call("GET", f"/api/projects/{project_id}/sandbox")
        _end_jails(stack)

        async def written() -> Json | None:
            try:
                return await client.put_file(project_id, "notes/later.txt", b"after the crash")
            except ApiError as exc:
                # In the moment of its death it can't be reached, and is not known to be gone.
                if exc.status != 503:
                    raise
                return None

        put = await eventually(written)
        assert put is not None
        assert put["sha256"] == hashlib.sha256(b"after the crash").hexdigest()
        second = await client.call("GET", f"/api/projects/{project_id}/sandbox")
        assert second["sandboxId"] != first["sandboxId"]
        stored = (await client.call("GET", f"/api/projects/{project_id}/files"))["files"]
        listed = await client.call("GET", f"/api/projects/{project_id}/sandbox/files")
        in_sandbox = {e["path"] for e in listed["entries"] if e["type"] == "file"}
        assert in_sandbox == {file["path"] for file in stored} >= {"index.html", "notes/later.txt"}


def _end_jails(stack: RunningStack) -> None:
    """Kills every process of every sandbox, as a crash of the host would."""
    for process in stack.tree():
        # Some end with the ones before them.
        with suppress(psutil.NoSuchProcess):
            if process.name() == "bwrap":
                process.kill()
