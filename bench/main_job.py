"""What a user waits for on the whole platform, a sandbox and a written file, and what idle processes hold.

    python -m bench.main_job [--rounds 15]

Milliseconds, p50 and p95; memory in MiB as each process's proportional share (PSS).
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
from playwright.async_api import async_playwright

from local.stack.client import Client, Event
from tests.fixtures.browser import ARGUMENTS, CHROMIUM
from tests.fixtures.stack import RunningStack
from tests.fixtures.users import generate, new_project, signed_in

PROMPT = "a landing page for a bakery in Lisbon"
_STILL_SECONDS = 1.0


class Preview:
    """One kept-alive connection to a preview, dialled by address."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        base = f"http://127.0.0.1:{parts.port}"
        self._http = httpx.AsyncClient(
            base_url=base, headers={"Host": parts.netloc}, trust_env=False, timeout=10
        )

    async def until_ok(self, path: str) -> float:
        """The moment at which the path answers 200."""
        while True:
            if (await self._http.get(path)).status_code == 200:
                return time.time()
            await asyncio.sleep(0.002)

    async def until_whole(self, path: str, text: Mapping[str, str]) -> float:
        """The moment from which on the path shows the end of the text that has arrived of it by then."""
        whole = 0.0
        length = -1
        while True:
            # What is inserted for the live reload stands before the end.
            answer = await self._http.get(f"/{path}")
            end = text[path][-40:].rpartition("</body>")[0] or text[path][-40:]
            if answer.status_code != 200 or end not in answer.text:
                whole = 0.0
            elif not whole or length != len(text[path]):
                whole, length = time.time(), len(text[path])
            elif time.time() - whole > _STILL_SECONDS:
                return whole
            await asyncio.sleep(0.002)

    async def close(self) -> None:
        await self._http.aclose()


async def created(client: Client) -> tuple[float, float]:
    """Milliseconds from asking for a sandbox to the answer, and to the preview's first 200."""
    project_id = await new_project(client)
    begun = time.time()
    answer = await client.call("POST", f"/api/projects/{project_id}/sandbox")
    answered = time.time()
    preview = Preview(answer["sandboxUrl"])
    shown = await preview.until_ok("/")
    await preview.close()
    await client.call("DELETE", f"/api/projects/{project_id}/sandbox")
    return (answered - begun) * 1000, (shown - begun) * 1000


async def begun(client: Client) -> tuple[float, float]:
    """Milliseconds from a prompt to its first word at the watcher, and to the first paint: no sandbox is there yet."""
    project_id = await new_project(client)
    asked = time.time()
    generation_id = await generate(client, project_id, PROMPT)
    said, url = 0.0, ""
    painted: asyncio.Task[float] | None = None
    async for event in client.events(generation_id):
        if event.name == "started":
            url = event.data["started"]["sandboxUrl"]
        if event.name in {"text_delta", "file_delta"}:
            said = said or time.time()
        if event.name == "file_delta" and painted is None:
            preview = Preview(url)
            painted = asyncio.create_task(preview.until_ok(f"/{event.data['fileDelta']['path']}"))
    if painted is None:
        raise RuntimeError("nothing was painted")
    shown = await painted
    await preview.close()
    await client.call("DELETE", f"/api/projects/{project_id}/sandbox")
    return (said - asked) * 1000, (shown - asked) * 1000


async def written(client: Client) -> list[float]:
    """Milliseconds from a file's last delta to the whole of it in the preview, for each file of a generation."""
    project_id = await new_project(client)
    sandbox = await client.call("POST", f"/api/projects/{project_id}/sandbox")
    preview = Preview(sandbox["sandboxUrl"])
    last: dict[str, float] = {}
    text: dict[str, str] = {}
    shown: dict[str, asyncio.Task[float]] = {}
    async for event in client.events(await generate(client, project_id, PROMPT)):
        if event.name == "file_delta":
            delta = event.data["fileDelta"]
            path = delta["path"]
            last[path] = _moment(event)
            text[path] = text.get(path, "") + delta["text"]
            if path not in shown:
                shown[path] = asyncio.create_task(preview.until_whole(path, text))
    seen = {path: await task for path, task in shown.items()}
    await preview.close()
    await client.call("DELETE", f"/api/projects/{project_id}/sandbox")
    return [max(0.0, seen[path] - last[path]) * 1000 for path in seen]


async def repainted(client: Client, rounds: int) -> list[float]:
    """Milliseconds from sending a changed style sheet to the frame that a browser paints with it, without a reload."""
    project_id = await new_project(client)
    await client.call("POST", f"/api/projects/{project_id}/sandbox")
    html = (
        b"<!doctype html><link rel=icon href=data:,><link rel=stylesheet href=a.css><h1>Hello</h1>"
    )
    await client.put_file(project_id, "index.html", html)
    await client.put_file(project_id, "a.css", b"h1 { width: 10px }")
    sandbox = await client.call("GET", f"/api/projects/{project_id}/sandbox")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = await browser.new_page()
        async with page.expect_response("**/__sandwright/events"):
            await page.goto(sandbox["previewUrl"])
        samples = []
        for number in range(rounds):
            width = 20 + number
            painted = f"getComputedStyle(document.querySelector('h1')).width === '{width}px' && Date.now()"
            seen = asyncio.create_task(page.wait_for_function(painted, polling="raf"))
            begun = time.time()
            await client.put_file(project_id, "a.css", f"h1 {{ width: {width}px }}".encode())
            samples.append(await (await seen).json_value() - begun * 1000)
        await browser.close()
    await client.call("DELETE", f"/api/projects/{project_id}/sandbox")
    return samples


def _moment(event: Event) -> float:
    return datetime.fromisoformat(event.data["createdAt"]).timestamp()


def row(name: str, samples: list[float]) -> None:
    """Prints a figure's median and 95th percentile."""
    high = sorted(samples)[int(len(samples) * 0.95)]
    print(f"{name:<52}{statistics.median(samples):9.1f}{high:9.1f}", flush=True)


def memory(stack: RunningStack) -> None:
    """Prints what each process holds."""
    for process in psutil.Process(stack.process.pid).children():
        name = process.cmdline()[-1]
        print(f"{name:<52}{process.memory_full_info().pss / 2**20:9.1f}")
    server = int((stack.data_dir / "postgres/postmaster.pid").read_text().split()[0])
    whole = [psutil.Process(server), *psutil.Process(server).children()]
    print(f"{'postgres':<52}{sum(p.memory_full_info().pss for p in whole) / 2**20:9.1f}")


async def measure(stack: RunningStack, rounds: int) -> None:
    """All figures of one running stack."""
    async with signed_in(stack.api) as client:
        await created(client)
        pairs = [await created(client) for _ in range(rounds)]
        print(f"{'ms':<52}{'p50':>9}{'p95':>9}")
        row("sandbox asked for → answer", [pair[0] for pair in pairs])
        row("sandbox asked for → first 200 from the preview", [pair[1] for pair in pairs])
        firsts = [await begun(client) for _ in range(5)]
        row("prompt → its first word at the watcher", [pair[0] for pair in firsts])
        row("prompt → first paint, with a new sandbox", [pair[1] for pair in firsts])
        samples = [ms for _ in range(3) for ms in await written(client)]
        row("last delta of a file → all of it in the preview", samples)
        row("style sheet sent over REST → browser repainted", await repainted(client, rounds))


def main() -> None:
    """Starts a stack, measures it, stops it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        stack = RunningStack(Path(folder))
        try:
            print(f"{'idle memory, MiB':<52}{'PSS':>9}")
            memory(stack)
            asyncio.run(measure(stack, rounds))
        finally:
            stack.stop()


if __name__ == "__main__":
    main()
