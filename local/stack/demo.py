"""``make demo``: one prompt becomes a website, from registration to the preview, over the REST API."""

from __future__ import annotations

import asyncio
import os
import secrets
from pathlib import Path

from local.stack.client import ApiError, Client, Json, fetch_preview
from local.stack.console import log_file
from local.stack.progress import Progress, tree
from local.stack.ready import is_ready
from local.stack.run import explained, first, stop_signal
from local.stack.settings import StackSettings
from local.stack.stack import Stack


async def demo(settings: StackSettings, environment: dict[str, str]) -> int:
    """Starts what is not running, does the main job once, and stops what it has started. Returns the exit code."""
    log = settings.data_dir / "logs" / "demo.log"
    stack = Stack(settings, environment, log_file(log))
    if await _running(stack):
        print(f"using the platform that answers at {stack.gateway_url}", flush=True)
        return await _generate(stack.gateway_url, settings)
    print(f"starting the platform (log: {_short(log)}) …", flush=True)
    asked = stop_signal(stack)
    starting = asyncio.create_task(stack.start())
    if not await first(asked, starting):
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        return 130
    if starting.exception():
        print(log.read_text(), end="")
    explained(starting)
    try:
        return await _in(stack, settings, asked)
    finally:
        await stack.stop()


async def _in(stack: Stack, settings: StackSettings, asked: asyncio.Event) -> int:
    """The job in a stack of our own, which stays up until Ctrl-C where that was asked for."""
    code = 1

    async def work() -> None:
        nonlocal code
        code = await _generate(stack.gateway_url, settings)

    working = asyncio.create_task(work())
    if not await first(asked, working):
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        return 130
    working.result()
    if os.environ.get("KEEP", "0") not in {"", "0"}:
        print("\nThe platform stays up: Ctrl-C stops it.", flush=True)
        await asked.wait()
    else:
        print("\nThe platform stops now, and the preview with it; KEEP=1 leaves it up.", flush=True)
    return code


async def _generate(api: str, settings: StackSettings) -> int:
    prompt = os.environ.get("PROMPT", "").strip()
    client = Client(api)
    try:
        return await _job(client, prompt, settings)
    except ApiError as exc:
        print(f"the API refused: {exc}")
        return 1
    finally:
        await client.close()


async def _job(client: Client, prompt: str, settings: StackSettings) -> int:
    progress = Progress()
    progress.line(f"\n  “{prompt}”\n")
    await client.register(f"demo-{secrets.token_hex(6)}@example.com", secrets.token_urlsafe(16))
    project = await client.call("POST", "/api/projects", name=prompt[:60] or "demo")
    started = await client.call(
        "POST", "/api/generate", projectId=project["projectId"], prompt=prompt
    )
    last: Json = {}
    async for event in client.events(started["generationId"]):
        progress.show(event)
        last = {"name": event.name, **event.data.get(event.name, {})}
    if last["name"] != "succeeded":
        return 1
    await _finish(client, project["projectId"], last, progress, settings)
    return 0


async def _finish(
    client: Client, project_id: str, ended: Json, progress: Progress, settings: StackSettings
) -> None:
    listed = await client.call("GET", f"/api/projects/{project_id}/files")
    files = listed["files"]
    folder = settings.data_dir / "demo" / project_id
    for file in files:
        target = folder / file["path"]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(await client.file(project_id, file["path"]))
    usage = ended["usage"]
    cost = f"{usage['costUsd']:.4f} USD{' (estimated)' if usage['estimated'] else ''}"
    status = await fetch_preview(ended["previewUrl"])
    progress.line(f"\n{tree([file['path'] for file in files])}\n")
    progress.line(
        f"  {len(files)} files, {listed['totalBytes']:,} bytes in {progress.seconds:.1f} s; "
        f"{usage['outputTokens']:,} tokens written, {_read(usage):,} read; {cost}"
    )
    progress.line(f"  version {ended['version']} is kept; the files are also in {_short(folder)}")
    progress.line(f"  preview: {ended['previewUrl']}  (answers {status})")


def _read(usage: Json) -> int:
    return int(usage["inputTokens"] + usage["cacheReadTokens"] + usage["cacheWriteTokens"])


def _short(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


async def _running(stack: Stack) -> bool:
    return await is_ready(stack.gateway)
