"""The calls that name a sandbox by its id, and the list, in both flavours of the SDK."""

from __future__ import annotations

import asyncio
import inspect
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from e2b import NotFoundException, SandboxException, SandboxQuery, SandboxState

from tests.contract.engine.conftest import Create
from tests.fixtures.engine import RunningEngine


async def pages_of(sdk: Any, engine: RunningEngine, **options: Any) -> Any:
    pages = sdk.list(**options, **engine.sdk)
    return await pages if inspect.isawaitable(pages) else pages


async def listed(sdk: Any, engine: RunningEngine, **options: Any) -> list[str]:
    """The ids of all pages."""
    pages = await pages_of(sdk, engine, **options)
    found = []
    while pages.has_next:
        found += [one.sandbox_id for one in await pages.next_items()]
    return found


async def test_a_sandbox_is_used_by_its_id_alone(
    sdk: Any, create: Create, engine: RunningEngine
) -> None:
    sandbox_id = (await create(metadata={"a": "b"})).sandbox_id
    await sdk.set_timeout(sandbox_id, 1000, **engine.sdk)
    info = await sdk.get_info(sandbox_id, **engine.sdk)
    assert info.end_at > datetime.now(UTC) + timedelta(seconds=900)
    assert info.metadata == {"a": "b"}
    assert (await sdk.get_info(sandbox_id, **engine.sdk)).end_at == info.end_at
    (measured,) = await sdk.get_metrics(sandbox_id, **engine.sdk)
    assert measured.mem_total == 512 * 1024 * 1024
    await sdk.update_network(sandbox_id, {"deny_out": ["0.0.0.0/0"]}, **engine.sdk)
    assert await sdk.pause(sandbox_id, **engine.sdk)
    assert not await sdk.beta_pause(sandbox_id, **engine.sdk)
    assert await (await sdk.connect(sandbox_id, **engine.sdk)).is_running()
    assert await sdk.kill(sandbox_id, **engine.sdk)
    assert not await sdk.kill(sandbox_id, **engine.sdk)


async def test_an_id_that_nobody_has_is_not_found(sdk: Any, engine: RunningEngine) -> None:
    for call in (
        sdk.connect("nobody", **engine.sdk),
        sdk.get_info("nobody", **engine.sdk),
        sdk.set_timeout("nobody", 10, **engine.sdk),
        sdk.pause("nobody", **engine.sdk),
        sdk.get_metrics("nobody", **engine.sdk),
        sdk.update_network("nobody", {}, **engine.sdk),
    ):
        with pytest.raises(NotFoundException, match="nobody"):
            await call
    assert not await sdk.kill("nobody", **engine.sdk)


async def test_the_list_is_filtered_and_paged(
    sdk: Any, create: Create, engine: RunningEngine
) -> None:
    mark = {"mark": f"{secrets.token_hex(8)} & more=1 %"}
    made = [await create(metadata={**mark, "n": str(n)}) for n in range(5)]
    newest_first = [box.sandbox_id for box in reversed(made)]
    await made[0].pause()
    query = SandboxQuery(metadata=mark)
    assert await listed(sdk, engine, query=query) == newest_first
    assert await listed(sdk, engine, query=query, limit=2) == newest_first
    running = SandboxQuery(metadata=mark, state=[SandboxState.RUNNING])
    assert await listed(sdk, engine, query=running, limit=3) == newest_first[:-1]
    paused = SandboxQuery(metadata=mark, state=[SandboxState.PAUSED])
    assert await listed(sdk, engine, query=paused) == newest_first[-1:]
    one = SandboxQuery(metadata={**mark, "n": "3"})
    assert await listed(sdk, engine, query=one) == [made[3].sandbox_id]
    pages = await pages_of(sdk, engine, query=query, limit=4)
    assert len(await pages.next_items()) == 4
    assert pages.next_token
    rest = await pages_of(sdk, engine, query=query, next_token=pages.next_token)
    assert [box.sandbox_id for box in await rest.next_items()] == newest_first[-1:]
    assert (rest.has_next, rest.next_token) == (False, None)
    for box in made:
        await box.kill()


async def test_a_retried_create_is_one_sandbox(create: Create) -> None:
    key = secrets.token_hex(8)
    first, second = await asyncio.gather(create(idempotency_key=key), create(idempotency_key=key))
    assert first.sandbox_id == second.sandbox_id
    await first.kill()


async def test_what_this_engine_has_not_is_refused_and_makes_nothing(
    sdk: Any, create: Create, engine: RunningEngine
) -> None:
    mark = {"never": secrets.token_hex(8)}
    for options, named in (
        ({"network": {"allow_out": ["example.com"]}}, "loopback"),
        ({"mcp": {"duckduckgo": {}}}, "mcp"),
        ({"volume_mounts": {"/data": "some-volume"}}, "volume"),
    ):
        with pytest.raises(SandboxException, match=named):
            await create(metadata=mark, **options)
    assert await listed(sdk, engine, query=SandboxQuery(metadata=mark)) == []


async def test_a_sandbox_without_a_gateway_has_no_address_of_it_that_answers(box: Any) -> None:
    with pytest.raises(NotFoundException):
        await box.get_mcp_token()
