"""A site of six pages by a team and by one agent alone, at the same token rate, through the whole platform.

    python -m bench.team [--rounds 3] [--rate 80]

Both write the same site; the ratio says what several agents at the same time save.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.fixtures.stack import RunningStack
from tests.fixtures.users import all_events, new_project, signed_in

PROMPT = "a blog about sourdough"
MODES = ("single", "team")


@dataclass(frozen=True)
class Run:
    """One generation."""

    seconds: float
    pages: int
    output_tokens: int


async def run(stack: RunningStack, mode: str) -> Run:
    """From the request, with a sandbox that is not there yet, to the last event."""
    async with signed_in(stack.api) as client:
        project_id = await new_project(client)
        begun = time.monotonic()
        answer = await client.call(
            "POST", "/api/generate", projectId=project_id, prompt=PROMPT, mode=mode
        )
        generation_id = str(answer["generationId"])
        events = await all_events(client, generation_id)
        seconds = time.monotonic() - begun
        if events[-1].name != "succeeded":
            raise RuntimeError(f"the generation ended {events[-1].name}: {events[-1].data}")
        found = await client.call("GET", f"/api/generations/{generation_id}")
        files = await client.call("GET", f"/api/projects/{project_id}/files")
        pages = [file for file in files["files"] if file["path"].endswith(".html")]
        return Run(seconds, len(pages), found["usage"]["outputTokens"])


def main() -> None:
    """One stack; the two modes in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=int, default=80)
    given = parser.parse_args()
    runs: dict[str, list[Run]] = {mode: [] for mode in MODES}
    with tempfile.TemporaryDirectory() as folder:
        stack = RunningStack(Path(folder), LOCAL_MODEL_TOKENS_PER_SECOND=str(given.rate))
        try:
            for _ in range(given.rounds):
                for mode in MODES:
                    runs[mode].append(asyncio.run(run(stack, mode)))
        finally:
            stack.stop()
    print(f"{given.rate} tokens/s")
    print(f"{'mode':<8}{'pages':>7}{'tokens written':>16}{'seconds':>10}")
    for mode, done in runs.items():
        seconds = statistics.median(one.seconds for one in done)
        print(f"{mode:<8}{done[0].pages:>7}{done[0].output_tokens:>16}{seconds:>10.1f}")
    single, team = (statistics.median(one.seconds for one in runs[mode]) for mode in MODES)
    print(f"a team takes {team / single:.2f} of the time of one agent")


if __name__ == "__main__":
    main()
