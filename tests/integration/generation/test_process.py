"""The service as a process of its own."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import grpc
import psutil

from kit.testing import free_port
from protos.generation.v1 import generation_pb2 as pb
from protos.generation.v1 import generation_pb2_grpc
from tests.fixtures.generation import World
from tests.fixtures.generation_process import environment
from tests.fixtures.history import check_sequence, kinds
from tests.fixtures.lost_work import stuck

ROOT = Path(__file__).parents[3]


@asynccontextmanager
async def process(world: World, port: int) -> AsyncIterator[psutil.Popen]:
    """``python -m services.generation`` as a deployment runs it."""
    child = psutil.Popen(
        [sys.executable, "-m", "services.generation"],
        cwd=ROOT,
        env=environment(world, port),
        stderr=subprocess.PIPE,
    )
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            await asyncio.wait_for(channel.channel_ready(), 60)
        yield child
    finally:
        with suppress(psutil.NoSuchProcess):
            child.kill()
        await asyncio.to_thread(child.wait)
        child.stderr.close()


async def test_a_process_killed_in_the_middle_is_taken_over_by_the_next(world: World) -> None:
    await world.replicas.pop(0).stop()
    world.model.script = [stuck("file", "half")]
    person = await world.user()
    port = free_port()
    collected: list[pb.GenerationEvent] = []
    async with process(world, port) as child, _stub(port) as stub:
        metadata = (("authorization", f"Bearer {person.user.token}"),)
        started = await stub.StartGeneration(
            pb.StartGenerationRequest(project_id=person.project_id, prompt="Survive"),
            metadata=metadata,
            wait_for_ready=True,
        )
        with suppress(grpc.aio.AioRpcError):
            request = pb.WatchGenerationRequest(generation_id=started.generation_id)
            async for event in stub.WatchGeneration(request, metadata=metadata):
                collected.append(event)
                if event.WhichOneof("event") == "file_written":
                    child.send_signal(signal.SIGKILL)
    async with process(world, port) as child, _stub(port) as stub:
        request = pb.WatchGenerationRequest(
            generation_id=started.generation_id, after_sequence=collected[-1].sequence
        )
        call = stub.WatchGeneration(request, metadata=metadata, wait_for_ready=True)
        collected += [event async for event in call]
        child.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(child.wait) == 0
        logged = child.stderr.read().decode()
    check_sequence(collected)
    assert kinds(collected)[-1] == "succeeded"
    assert b"Survive" in await person.read("index.html")
    assert "a-key-nobody-may-see" not in logged
    assert "Survive" not in logged
    assert person.user.token not in logged


@asynccontextmanager
async def _stub(port: int) -> AsyncIterator[generation_pb2_grpc.GenerationServiceAsyncStub]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield generation_pb2_grpc.GenerationServiceStub(channel)
