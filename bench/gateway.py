"""What the gateway costs: a small GET through it beside the same call made bare, and a stream of 1,000 events.

python -m bench.gateway

The backend, the gateway and the client are a process each. All calls go one after the other over connections
that are kept; what is printed is the median, in microseconds.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import contextmanager
from typing import Any

import grpc
import uvloop

from kit.testing import eventually, free_port
from protos.generation.v1 import generation_pb2, generation_pb2_grpc
from protos.projects.v1 import projects_pb2, projects_pb2_grpc

CALLS = 1500
WARM_UP = 200
EVENTS = 1000
REQUEST = b"GET /api/projects/prj-1 HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer t\r\n\r\n"
WATCH = b"GET /api/generations/gen-1/events HTTP/1.1\r\nhost: bench\r\naccept: text/event-stream\r\n\r\n"


class _Projects(projects_pb2_grpc.ProjectsServiceServicer):
    async def GetProject(self, request: Any, _: Any) -> Any:  # noqa: N802  # the RPC's name
        return projects_pb2.Project(project_id=request.project_id, name="A bakery in Lisbon")


class _Generation(generation_pb2_grpc.GenerationServiceServicer):
    async def WatchGeneration(self, _: Any, __: Any) -> AsyncIterator[Any]:  # noqa: N802  # as above
        for sequence in range(1, EVENTS + 1):
            text = generation_pb2.TextDelta(text="some words of a model's answer")
            yield generation_pb2.GenerationEvent(sequence=sequence, text_delta=text)


async def serve_backend(port: int) -> None:
    """The peer behind both ways."""
    server = grpc.aio.server()
    projects = _Projects()  # type: ignore[abstract]  # what is not overridden answers UNIMPLEMENTED
    generation = _Generation()  # type: ignore[abstract]  # as above
    projects_pb2_grpc.add_ProjectsServiceServicer_to_server(projects, server)
    generation_pb2_grpc.add_GenerationServiceServicer_to_server(generation, server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


async def medians(*calls: Callable[[], Awaitable[object]]) -> list[float]:
    """Microseconds of each, taken in turns so that they share the machine's mood."""
    taken: list[list[float]] = [[] for _ in calls]
    for number in range(WARM_UP + CALLS):
        for call, times in zip(calls, taken, strict=True):
            begun = time.perf_counter()
            await call()
            if number >= WARM_UP:
                times.append(time.perf_counter() - begun)
    return [statistics.median(times) * 1e6 for times in taken]


async def http_call(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """One GET on a kept connection, with no client library in the way."""
    writer.write(REQUEST)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    assert head.startswith(b"HTTP/1.1 200"), head
    return await reader.readexactly(length)


async def http_stream(port: int) -> float:
    """Seconds until the last event."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    begun = time.perf_counter()
    writer.write(WATCH)
    last, tail = b"id: %d\n" % EVENTS, b""
    while last not in tail:
        part = await reader.read(65536)
        assert part, "the stream ended early"
        tail = tail[-len(last) :] + part
    taken = time.perf_counter() - begun
    writer.close()
    return taken


async def bare_stream(channel: grpc.aio.Channel) -> float:
    """Seconds until the last message."""
    stub: Any = generation_pb2_grpc.GenerationServiceStub(channel)
    begun = time.perf_counter()
    request = generation_pb2.WatchGenerationRequest(generation_id="gen-1")
    assert len([event async for event in stub.WatchGeneration(request)]) == EVENTS
    return time.perf_counter() - begun


async def measure(backend: int, gateway: int) -> None:
    """Both ways in one run."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{backend}") as channel:
        stub: Any = projects_pb2_grpc.ProjectsServiceStub(channel)
        request = projects_pb2.GetProjectRequest(project_id="prj-1")
        await channel.channel_ready()
        await eventually(lambda: _listens(gateway))
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway)
        bare, through = await medians(
            lambda: stub.GetProject(request, timeout=5), lambda: http_call(reader, writer)
        )
        writer.close()
        print(
            f"small GET: bare gRPC {bare:.0f} µs, through the gateway {through:.0f} µs, ratio {through / bare:.2f}"
        )
        streams = [(await bare_stream(channel), await http_stream(gateway)) for _ in range(5)]
        bare_each, through_each = (
            statistics.median(times) / EVENTS * 1e6 for times in zip(*streams, strict=True)
        )
        print(
            f"an event of a stream: bare gRPC {bare_each:.0f} µs, through the gateway {through_each:.0f} µs, "
            f"ratio {through_each / bare_each:.2f}"
        )


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


@contextmanager
def processes(backend: int, gateway: int) -> Any:
    """The backend and the gateway, ended when the measurement is."""
    address = f"127.0.0.1:{backend}"
    settings = dict.fromkeys(("PROJECTS_ADDRESS", "SANDBOX_ADDRESS", "GENERATION_ADDRESS"), address)
    started = [
        subprocess.Popen([sys.executable, "-m", "bench.gateway", str(backend)]),
        subprocess.Popen(
            [sys.executable, "-m", "gateway"],
            env={**os.environ, **settings, "GATEWAY_PORT": str(gateway), "LOG_LEVEL": "warning"},
        ),
    ]
    try:
        yield
    finally:
        for process in started:
            process.terminate()
            process.wait()


def main() -> None:
    """With a port as its argument this is the backend."""
    if len(sys.argv) > 1:
        uvloop.run(serve_backend(int(sys.argv[1])))
        return
    backend, gateway = free_port(), free_port()
    with processes(backend, gateway):
        uvloop.run(measure(backend, gateway))


if __name__ == "__main__":
    main()
