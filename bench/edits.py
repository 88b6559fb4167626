"""Changing the title of a site of ten files, beside writing the site anew: tokens and cost.

    python -m bench.edits

The composer writes the site and makes the change, with the tools that every model has; its tokens are counted as the
vendor counts them as far as a stand-in can (about four bytes a token) and priced as Claude Sonnet 5.5's.
"""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from local.stack.client import Client
from services.generation.model import Tokens
from services.generation.prices import price_book
from tests.fixtures.stack import RunningStack
from tests.fixtures.users import all_events, generate, new_project, signed_in

MODEL = "claude-sonnet-5-5"
SITE = "a landing page for a bakery in Lisbon with an about page"
EDIT = 'Change the title to "Migalha e Filhos"'


@dataclass(frozen=True)
class Cost:
    """What one generation used."""

    read: int
    written: int
    dollars: float
    files: int


async def cost_of(client: Client, project_id: str, prompt: str) -> Cost:
    """One generation."""
    generation_id = await generate(client, project_id, prompt)
    events = await all_events(client, generation_id)
    if events[-1].name != "succeeded":
        raise RuntimeError(f"the generation ended {events[-1].name}: {events[-1].data}")
    usage = (await client.call("GET", f"/api/generations/{generation_id}"))["usage"]
    read = sum(
        usage.get(name, 0) for name in ("inputTokens", "cacheReadTokens", "cacheWriteTokens")
    )
    files = await client.call("GET", f"/api/projects/{project_id}/files")
    tokens = Tokens(
        usage.get("inputTokens", 0),
        usage["outputTokens"],
        usage.get("cacheReadTokens", 0),
        usage.get("cacheWriteTokens", 0),
    )
    price = price_book().on(datetime.now(UTC).date()).cost(MODEL, tokens)
    return Cost(read, tokens.written, float(price or 0), len(files["files"]))


async def measure(stack: RunningStack) -> tuple[Cost, Cost]:
    """The site, then the edit."""
    async with signed_in(stack.api) as client:
        project_id = await new_project(client)
        return await cost_of(client, project_id, SITE), await cost_of(client, project_id, EDIT)


def main() -> None:
    """Prints both, and what the edit is of the whole."""
    with tempfile.TemporaryDirectory() as folder:
        stack = RunningStack(Path(folder), LOCAL_MODEL_TOKENS_PER_SECOND="0")
        try:
            site, edit = asyncio.run(measure(stack))
        finally:
            stack.stop()
    print(f"{'':<24}{'files':>6}{'read':>9}{'written':>9}{'US dollars':>12}")
    for name, cost in (("the whole site", site), ("another title for it", edit)):
        print(f"{name:<24}{cost.files:>6}{cost.read:>9}{cost.written:>9}{cost.dollars:>12.4f}")
    print(f"tokens written: {edit.written / site.written:.3f} of writing the site anew")
    print(f"cost:           {edit.dollars / site.dollars:.3f}")


if __name__ == "__main__":
    main()
