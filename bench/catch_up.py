"""A client that comes back to a generation of 10,000 events: how long until it has them all.

    python -m bench.catch_up [--events 10000] [--rounds 5]

Beside it the same rows, read from the database by asyncpg alone.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import asyncpg

from local.stack.client import Client
from local.stack.postgres import EmbeddedPostgres
from tests.fixtures.stack import RunningStack
from tests.fixtures.users import all_events, generate, new_project, signed_in

PROMPT = "a landing page for a bakery in Lisbon"
_ROWS = (
    "SELECT sequence, kind, payload, created_at FROM generation.generation_events "
    "WHERE generation_id = $1 ORDER BY sequence"
)
# The last event goes to the end, and the log's deltas come before it again and again.
_MOVE = """
UPDATE generation.generation_events SET sequence = $2 WHERE generation_id = $1
AND sequence = (SELECT max(sequence) FROM generation.generation_events WHERE generation_id = $1)
"""
_LENGTHEN = """
WITH deltas AS (
    SELECT payload, row_number() OVER (ORDER BY sequence) - 1 AS place
    FROM generation.generation_events WHERE generation_id = $1 AND kind = 'file_delta'
)
INSERT INTO generation.generation_events (generation_id, sequence, kind, payload)
SELECT $1, number, 'file_delta', deltas.payload
FROM generate_series(
    (SELECT max(sequence) + 1 FROM generation.generation_events WHERE generation_id = $1 AND sequence < $2),
    $2 - 1
) AS number
JOIN deltas ON deltas.place = number % (SELECT count(*) FROM deltas)
"""
_COUNT = "UPDATE generation.generations SET last_sequence = $2 WHERE generation_id = $1"


async def lengthened(database: asyncpg.Connection, client: Client, count: int) -> str:
    """A generation that has ended, with so many events."""
    project_id = await new_project(client)
    generation_id = await generate(client, project_id, PROMPT)
    await all_events(client, generation_id)
    async with database.transaction():
        for statement in (_MOVE, _LENGTHEN, _COUNT):
            await database.execute(statement, generation_id, count)
    return generation_id


async def measure(
    stack: RunningStack, database: asyncpg.Connection, count: int, rounds: int
) -> list[tuple[float, float]]:
    """Seconds of our way and of the bare one, in turn."""
    pairs = []
    async with signed_in(stack.api) as client:
        generation_id = await lengthened(database, client, count)
        for _ in range(rounds):
            begun = time.monotonic()
            events = await all_events(client, generation_id)
            ours = time.monotonic() - begun
            if [event.sequence for event in events] != list(range(1, count + 1)):
                raise RuntimeError(f"{len(events)} events came, or in another order")
            begun = time.monotonic()
            await database.fetch(_ROWS, generation_id)
            pairs.append((ours, time.monotonic() - begun))
    return pairs


async def measured(
    stack: RunningStack, url: str, count: int, rounds: int
) -> list[tuple[float, float]]:
    """With a connection of the database's superuser."""
    database = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        return await measure(stack, database, count, rounds)
    finally:
        await database.close()


def main() -> None:
    """One stack."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stack = RunningStack(Path(folder), LOCAL_MODEL_TOKENS_PER_SECOND="0")
        postgres = EmbeddedPostgres(stack.data_dir / "postgres")
        try:
            postgres.start()
            pairs = asyncio.run(measured(stack, postgres.admin_url, given.events, given.rounds))
        finally:
            postgres.stop()
            stack.stop()
    ours, bare = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
    print(f"{given.events} events over REST: {ours:.2f} s, {given.events / ours:,.0f} a second")
    print(f"the rows by asyncpg alone: {bare:.3f} s; ratio {ours / bare:.1f}")


if __name__ == "__main__":
    main()
