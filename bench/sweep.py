"""What one sweep takes where there are many sandboxes and nothing is wrong with any of them.

    python -m bench.sweep [--rows 10000]

Half of the rows are of sandboxes that run, half of closed ones. The vendor is the one of the tests, in memory: what is
measured is the service and Postgres.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from sqlalchemy import text

from kit.auth.keygen import ensure_keys
from kit.db import Database
from local.stack.postgres import EmbeddedPostgres
from services.sandbox.app import assemble, prepare
from services.sandbox.settings import SandboxSettings
from tests.fakes.sandbox_vendor import FakeVendor
from tests.fixtures.postgres import Postgres

ROUNDS = 5
_ROWS = """
INSERT INTO sandboxes (sandbox_id, project_id, owner_id, vendor_id, status, close_reason, closed_at, url,
                       attempt_until, expires_at)
SELECT 'sbx-' || n, 'prj-' || n, 'usr-' || n % 1000, 'v' || n,
       CASE WHEN n % 2 = 0 THEN 'active' ELSE 'closed' END,
       CASE WHEN n % 2 = 0 THEN NULL ELSE 'user' END,
       CASE WHEN n % 2 = 0 THEN NULL ELSE now() END,
       'http://8000-v' || n || '.localhost', now(), now() + interval '1 hour'
FROM generate_series(1, :rows) AS n
"""


async def swept(settings: SandboxSettings, rows: int) -> list[float]:
    """Milliseconds of each sweep."""
    await prepare(settings)
    vendor = FakeVendor()
    for number in range(2, rows + 1, 2):
        labels = {
            "sandwright_deployment": settings.deployment,
            "sandwright_sandbox": f"sbx-{number}",
        }
        vendor.add(f"v{number}", labels)
    database = Database(settings.database_url, pool_size=1, name="bench")
    async with database.begin() as connection:
        await connection.execute(text(_ROWS), {"rows": rows})
    parts = assemble(settings, vendor)
    found = []
    for work in parts.application.background:
        work.close()
    async with parts.application.resources:
        for _ in range(ROUNDS):
            begun = time.perf_counter()
            await parts.sweep.once()
            found.append((time.perf_counter() - begun) * 1000)
    async with database.begin() as connection:
        running = "SELECT count(*) FROM sandboxes WHERE status = 'active'"
        left = (await connection.execute(text(running))).scalar_one()
    await database.close()
    assert left == len(vendor.sandboxes) == rows // 2
    return found


def main() -> None:
    """Measures on a Postgres of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ensure_keys(folder / "keys")
        server = EmbeddedPostgres(folder / "postgres")
        server.start()
        try:
            settings = SandboxSettings(
                port=0,
                database_url=Postgres(server).fresh().sandbox,
                service_key_file=folder / "keys" / "sandbox.jwk",
                service_keys_file=folder / "keys" / "services.jwks",
                projects_address="127.0.0.1:1",
                e2b_api_key="local",
            )
            samples = asyncio.run(swept(settings, rows))
        finally:
            server.stop()
    print(f"{'ms':<46}{'p50':>9}{'most':>9}")
    print(
        f"{f'sweep of {rows} rows, half of them running':<46}"
        f"{statistics.median(samples):9.1f}{max(samples):9.1f}"
    )


if __name__ == "__main__":
    main()
