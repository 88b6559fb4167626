"""What the sandbox service adds to the vendor's SDK, and what uploads, watches and ends of commands take.

    python -m bench.sandbox [--rounds 30]

Milliseconds, p50 and p95, of the same thing asked of the engine by the bare SDK and of the service by gRPC; the ratio
is that of the medians. A write by the service is in the store too, and is durable there.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import grpc
import httpx
import psutil
from e2b import AsyncSandbox

from local.stack.client import Client
from protos.sandbox.v1 import sandbox_pb2, sandbox_pb2_grpc
from services.sandbox.model import SITE
from tests.fixtures.sandbox import Sandboxes
from tests.fixtures.stack import RunningStack
from tests.fixtures.users import new_project, signed_in

MIB = 1024 * 1024
CONTENT = b"x" * 10_000
UPLOAD_BYTES = 100 * MIB
Use = Callable[[], Awaitable[object]]


def engine(stack: RunningStack) -> dict[str, Any]:
    """How the SDK reaches the stack's engine."""
    url = f"http://127.0.0.1:{stack.ports['LOCAL_SANDBOXES_PORT']}"
    key = stack.child("local.sandboxes").environ()["LOCAL_SANDBOXES_API_KEY"]
    return {"api_url": url, "sandbox_url": url, "api_key": key}


async def timed(use: Use, rounds: int) -> list[float]:
    """Milliseconds of each round; the first one is not counted."""
    await use()
    found = []
    for _ in range(rounds):
        begun = time.perf_counter()
        await use()
        found.append((time.perf_counter() - begun) * 1000)
    return found


def p95(samples: list[float]) -> float:
    return sorted(samples)[int(len(samples) * 0.95)]


async def compare(name: str, bare: Use, ours: Use, rounds: int) -> None:
    """Prints one line."""
    one, two = await timed(bare, rounds), await timed(ours, rounds)
    first, second = statistics.median(one), statistics.median(two)
    print(
        f"{name:<28}{first:9.1f}{p95(one):9.1f}{second:12.1f}{p95(two):9.1f}{second / first:9.1f}",
        flush=True,
    )


async def overhead(stack: RunningStack, client: Client, rounds: int) -> None:
    """The service beside the bare SDK."""
    options = engine(stack)
    project_id = await new_project(client)
    print(f"{'ms':<28}{'SDK p50':>9}{'p95':>9}{'service p50':>12}{'p95':>9}{'ratio':>9}")
    async with grpc.aio.insecure_channel(stack.grpc("sandbox")) as channel:
        token = client.authorization.removeprefix("Bearer ")
        ours = Sandboxes(sandbox_pb2_grpc.SandboxServiceStub(channel), token)
        bare = await AsyncSandbox.create(**options)

        async def create_bare() -> None:
            await (await AsyncSandbox.create(**options)).kill(**options)

        async def create_ours() -> None:
            await ours.create(project_id)
            await ours.close(project_id)

        async def run_ours() -> None:
            request = sandbox_pb2.RunCommandRequest(project_id=project_id, command="true")
            async for _ in ours.stub.RunCommand(request, metadata=ours.metadata):
                pass

        place = f"{SITE}/index.html"
        await compare("create and close", create_bare, create_ours, rounds)
        await ours.create(project_id)
        await compare(
            "write 10 kB",
            lambda: bare.files.write(place, CONTENT),
            lambda: ours.upload(project_id, "index.html", CONTENT),
            rounds,
        )
        await compare(
            "read 10 kB",
            lambda: bare.files.read(place),
            lambda: ours.read(project_id, "index.html"),
            rounds,
        )
        await compare(
            "list",
            lambda: bare.files.list(SITE, depth=10),
            lambda: ours.list(project_id),
            rounds,
        )
        await compare("run 'true'", lambda: bare.commands.run("true"), run_ours, min(rounds, 20))
        await bare.kill(**options)


async def change_seen(stack: RunningStack, client: Client, rounds: int) -> None:
    """From a change inside the sandbox, past the service, to its event at a client."""
    options = engine(stack)
    project_id = await new_project(client)
    await client.call("POST", f"/api/projects/{project_id}/sandbox")
    (info,) = [
        one
        for one in await AsyncSandbox.list(**options).next_items()
        if one.metadata.get("sandwright_project") == project_id
    ]
    live = await AsyncSandbox.connect(info.sandbox_id, **options)
    async with grpc.aio.insecure_channel(stack.grpc("sandbox")) as channel:
        token = client.authorization.removeprefix("Bearer ")
        ours = Sandboxes(sandbox_pb2_grpc.SandboxServiceStub(channel), token)
        samples = []
        async with aclosing(ours.watch(project_id)) as events:  # type: ignore[type-var]  # it is a generator
            await anext(events)
            for number in range(rounds):
                begun = time.perf_counter()
                await live.files.write(f"{SITE}/{number}.txt", b"x")
                await anext(events)
                samples.append((time.perf_counter() - begun) * 1000)
    print(f"\n{'ms':<46}{'p50':>9}{'p95':>9}")
    name = "change inside the sandbox → event at the client"
    print(f"{name:<46}{statistics.median(samples):9.1f}{p95(samples):9.1f}", flush=True)
    await client.call("DELETE", f"/api/projects/{project_id}/sandbox")


async def command_ended(stack: RunningStack, client: Client, rounds: int) -> None:
    """From giving up the HTTP request of a command to the end of its process."""
    project_id = await new_project(client)
    await client.call("POST", f"/api/projects/{project_id}/sandbox")
    url = f"{stack.api}/api/projects/{project_id}/sandbox/commands"
    headers = {"Authorization": client.authorization, "Accept": "text/event-stream"}
    samples = []
    for number in range(rounds):
        # Nothing else sleeps so long.
        seconds = str(900_000 + number)
        command = {"command": f"exec sleep {seconds}"}
        async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
            async with http.stream("POST", url, headers=headers, json=command) as response:
                response.raise_for_status()
                process = await asyncio.to_thread(_sleeper, stack, seconds)
                begun = time.perf_counter()
            with suppress(psutil.NoSuchProcess):
                # Nobody tells of the end of another's process.
                while process.status() != psutil.STATUS_ZOMBIE:  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
        samples.append((time.perf_counter() - begun) * 1000)
    name = "request given up → its command's process is gone"
    print(f"{name:<46}{statistics.median(samples):9.1f}{p95(samples):9.1f}", flush=True)
    await client.call("DELETE", f"/api/projects/{project_id}/sandbox")


def _sleeper(stack: RunningStack, seconds: str) -> psutil.Process:
    while True:
        for process in stack.tree():
            with suppress(psutil.Error):
                if process.cmdline() == ["sleep", seconds]:
                    return process


class Peak:
    """The most memory that processes held while something went on, in MiB (resident)."""

    def __init__(self, stack: RunningStack, *modules: str) -> None:
        self._processes = {name: stack.child(name) for name in modules}
        self.before = self._held()
        self.most = dict(self.before)

    def _held(self) -> dict[str, float]:
        return {name: one.memory_info().rss / MIB for name, one in self._processes.items()}

    async def follow(self) -> None:
        while True:
            for name, held in self._held().items():
                self.most[name] = max(self.most[name], held)
            await asyncio.sleep(0.01)


async def upload(stack: RunningStack, client: Client) -> None:
    """One file of 100 MB through the gateway, and what that costs."""
    project_id = await new_project(client)
    await client.call("POST", f"/api/projects/{project_id}/sandbox")
    content = secrets.token_bytes(UPLOAD_BYTES)
    peak = Peak(stack, "gateway", "services.sandbox", "services.projects")
    task = asyncio.create_task(peak.follow())
    async with httpx.AsyncClient(trust_env=False, timeout=300) as http:
        begun = time.perf_counter()
        answer = await http.put(
            f"{stack.api}/api/projects/{project_id}/sandbox/files/large.bin",
            content=content,
            headers={"Authorization": client.authorization},
        )
    seconds = time.perf_counter() - begun
    task.cancel()
    answer.raise_for_status()
    print(f"\nupload of {UPLOAD_BYTES // MIB} MiB: {seconds:.1f} s")
    print(f"{'resident memory, MiB':<46}{'before':>9}{'most':>9}")
    for name, most in peak.most.items():
        print(f"{name:<46}{peak.before[name]:9.1f}{most:9.1f}")
    await client.call("DELETE", f"/api/projects/{project_id}/sandbox")


async def measure(stack: RunningStack, rounds: int) -> None:
    async with signed_in(stack.api) as client:
        await overhead(stack, client, rounds)
        await change_seen(stack, client, rounds)
        await command_ended(stack, client, min(rounds, 20))
        await upload(stack, client)


def main() -> None:
    """Starts a stack whose limits are raised, measures it, stops it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        stack = RunningStack(
            Path(folder),
            SANDBOX_MAX_FILE_BYTES=str(2 * UPLOAD_BYTES),
            PROJECTS_MAX_FILE_BYTES=str(2 * UPLOAD_BYTES),
            SANDBOX_MAX_COMMANDS_PER_MINUTE="1000",
        )
        try:
            asyncio.run(measure(stack, rounds))
        finally:
            stack.stop()


if __name__ == "__main__":
    main()
