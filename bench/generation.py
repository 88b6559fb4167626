"""A whole generation beside the bare model stream, drained by the SDK alone, at the same token rate.

    python -m bench.generation [--rounds 3]

Both take the same prompt through the same two turns; the ratio says what files, events, versions and the way through
the platform cost.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from anthropic import AsyncAnthropic

from services.generation.agent.prompt import SYSTEM
from services.generation.agent.tools import TOOLS
from tests.fixtures.model import launch
from tests.fixtures.stack import RunningStack
from tests.fixtures.users import all_events, generate, new_project, signed_in

PROMPT = "a landing page for a bakery in Lisbon"
RATES = (50, 500, 0)


async def turn(client: AsyncAnthropic, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One turn, drained; returns the content blocks."""
    blocks: dict[int, dict[str, Any]] = {}
    typed: dict[int, list[str]] = {}
    stream: Any = await client.messages.create(
        model="claude-sonnet-5-5",
        max_tokens=32_000,
        system=SYSTEM,
        tools=list[Any](TOOLS),
        messages=list[Any](messages),
        stream=True,
    )
    async for event in stream:
        if event.type == "content_block_start":
            blocks[event.index] = event.content_block.to_dict(mode="json")
        elif event.type == "content_block_delta":
            delta = event.delta.to_dict(mode="json")
            typed.setdefault(event.index, []).append(
                str(delta.get("partial_json") or delta.get("text") or "")
            )
            if "signature" in delta:
                blocks[event.index]["signature"] = delta["signature"]
            if "thinking" in delta:
                blocks[event.index]["thinking"] += delta["thinking"]
    for index, block in blocks.items():
        if block["type"] == "tool_use":
            block["input"] = json.loads("".join(typed.get(index, [])) or "{}")
        elif block["type"] == "text":
            block["text"] = "".join(typed.get(index, []))
    return [blocks[index] for index in sorted(blocks)]


async def bare(url: str, key: str) -> float:
    """Seconds for both turns, and nothing else."""
    begun = time.monotonic()
    async with AsyncAnthropic(base_url=url, api_key=key) as client:
        messages: list[dict[str, Any]] = [{"role": "user", "content": PROMPT}]
        while True:
            blocks = await turn(client, messages)
            calls = [block for block in blocks if block["type"] == "tool_use"]
            if not calls:
                return time.monotonic() - begun
            results = [
                {"type": "tool_result", "tool_use_id": call["id"], "content": "written"}
                for call in calls
            ]
            messages += [
                {"role": "assistant", "content": blocks},
                {"role": "user", "content": results},
            ]


async def whole(stack: RunningStack) -> float:
    """Seconds from the request, with a sandbox that is not there yet, to the last event."""
    async with signed_in(stack.api) as client:
        project_id = await new_project(client)
        begun = time.monotonic()
        events = await all_events(client, await generate(client, project_id, PROMPT))
        if events[-1].name != "succeeded":
            raise RuntimeError(f"the generation ended {events[-1].name}")
        return time.monotonic() - begun


async def measure(stack: RunningStack, url: str, key: str, rounds: int) -> tuple[float, float]:
    """Medians of the whole and of the bare stream, taken in turn."""
    pairs = [(await whole(stack), await bare(url, key)) for _ in range(rounds)]
    return statistics.median(p[0] for p in pairs), statistics.median(p[1] for p in pairs)


def main() -> None:
    """One stack and one model server for each rate. The slow ones, which vary little, once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rates", type=int, nargs="+", default=RATES)
    given = parser.parse_args()
    rounds = given.rounds
    print(f"{'tokens/s':<12}{'generation, s':>15}{'bare stream, s':>16}{'ratio':>8}")
    for rate in given.rates:
        with tempfile.TemporaryDirectory() as folder:
            model = launch(tokens_per_second=rate)
            stack = RunningStack(Path(folder), LOCAL_MODEL_TOKENS_PER_SECOND=str(rate))
            try:
                times = asyncio.run(
                    measure(stack, model.url, model.api_key, rounds if not rate else 1)
                )
            finally:
                stack.stop()
                model.stop()
        name = str(rate) if rate else "unthrottled"
        print(f"{name:<12}{times[0]:15.2f}{times[1]:16.2f}{times[0] / times[1]:8.2f}", flush=True)


if __name__ == "__main__":
    main()
