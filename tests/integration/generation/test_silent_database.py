"""A database that says nothing any more, not even an error: a worker learns that its lease is over all the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from sqlalchemy.engine import make_url

from kit.db import Database
from kit.db.listen import Listener
from services.generation.model import Job
from services.generation.repository import Jobs, NewJob, Queue
from services.generation.worker.lease import Lease, Stop
from tests.fixtures.generation import World

_LEASE_SECONDS = 1


@asynccontextmanager
async def through_a_gate(url: str, gate: asyncio.Event) -> AsyncIterator[str]:
    """The database's URL by a way on which nothing passes while the gate is closed, and no connection ends."""
    there = make_url(url)
    ends: set[asyncio.Task[None]] = set()

    async def passed_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            await gate.wait()
            writer.write(data)
        writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        folder = there.query.get("host")
        port = there.port or 5432
        with suppress(OSError):
            if isinstance(folder, str):
                theirs = await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.{port}")
            else:
                theirs = await asyncio.open_connection(there.host, port)
            for pair in ((reader, theirs[1]), (theirs[0], writer)):
                ends.add(asyncio.create_task(passed_on(*pair)))

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield there.set(host="127.0.0.1", port=port, query={}).render_as_string(hide_password=False)
    finally:
        server.close()
        for end in ends:
            end.cancel()
        await asyncio.gather(*ends, return_exceptions=True)


async def claimed(database: Database) -> Job:
    """A generation that is this test's own."""
    new = NewJob("gen-silent", "usr-silent", "prj-silent", "A page", "a-model", "", "")
    async with database.begin() as connection:
        await Jobs(connection).add(new, 0)
    async with database.begin() as connection:
        job = await Queue(connection).claim("test", _LEASE_SECONDS, 1)
    assert job
    return job


async def test_a_lease_is_lost_in_time_where_the_database_falls_silent(world: World) -> None:
    world.unchecked = "the generation is a row alone"
    # It would take the generation up.
    await world.replicas.pop(0).stop()
    gate = asyncio.Event()
    gate.set()
    async with through_a_gate(world.urls.generation, gate) as url:
        database = Database(url, pool_size=2, name="test")
        job = await claimed(database)
        lease = Lease(database, Listener(url, "generation"), job, _LEASE_SECONDS, 0.1)
        async with lease.kept():
            gate.clear()
            async with asyncio.timeout(20):
                assert await lease.stopped() is Stop.LOST
            gate.set()
        await database.close()
