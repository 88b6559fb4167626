"""Create, find, list, extend and end sandboxes, as both flavours of the SDK see it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from e2b import (
    AsyncSandbox,
    AuthenticationException,
    NotFoundException,
    RateLimitException,
    Sandbox,
    SandboxException,
    SandboxQuery,
    SandboxState,
)

from tests.contract.engine.conftest import Create
from tests.fixtures.engine import RunningEngine, start_engine


async def until(condition: Any, seconds: float = 15) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while not await condition():
        assert asyncio.get_running_loop().time() < deadline, "the condition was never met"
        await asyncio.sleep(0.02)


async def test_a_new_sandbox_runs_and_says_what_it_was_ordered_with(
    create: Create, engine: RunningEngine
) -> None:
    before = datetime.now(UTC)
    box = await create(timeout=100, metadata={"user": "ann & bob", "kind": "ü%=+"})
    try:
        info = await box.get_info()
        assert await box.is_running()
        assert info.sandbox_id == box.sandbox_id
        assert info.sandbox_id.isalnum()
        assert info.sandbox_id == info.sandbox_id.lower()
        assert info.metadata == {"user": "ann & bob", "kind": "ü%=+"}
        assert info.state == SandboxState.RUNNING
        assert info.template_id == "base"
        assert info.memory_mb == 512
        left = info.end_at - before
        assert timedelta(seconds=95) < left < timedelta(seconds=130)
        assert box.get_host(8000) == f"8000-{box.sandbox_id}.{engine.domain}"
    finally:
        assert await box.kill()


async def test_a_killed_sandbox_is_gone_at_once(create: Create, engine: RunningEngine) -> None:
    box = await create()
    assert await box.kill()
    assert not await box.is_running()
    assert not await box.kill()
    with pytest.raises(NotFoundException):
        await box.get_info()
    with pytest.raises(NotFoundException):
        await box.set_timeout(10)
    with pytest.raises(NotFoundException):
        await AsyncSandbox.connect(box.sandbox_id, **engine.sdk)
    with pytest.raises(SandboxException, match=r"not found|not running"):
        await box.files.read("x")
    with pytest.raises(SandboxException):
        await box.commands.run("true")


async def test_a_sandbox_ends_by_itself_when_its_time_is_up(create: Create) -> None:
    box = await create(timeout=1)

    async def ended() -> bool:
        return not await box.is_running()

    await until(ended)


async def test_set_timeout_both_shortens_and_extends(create: Create) -> None:
    box = await create(timeout=60)
    await box.set_timeout(1000)
    assert (await box.get_info()).end_at > datetime.now(UTC) + timedelta(seconds=900)
    await box.set_timeout(0)

    async def ended() -> bool:
        return not await box.is_running()

    await until(ended)


async def test_connect_never_shortens_and_finds_the_same_files(engine: RunningEngine) -> None:
    first = await AsyncSandbox.create(timeout=500, **engine.sdk)
    await first.files.write("kept.txt", "here")
    second = await AsyncSandbox.connect(first.sandbox_id, timeout=10, **engine.sdk)
    assert await second.files.read("kept.txt") == "here"
    assert (await second.get_info()).end_at > datetime.now(UTC) + timedelta(seconds=400)
    third = await asyncio.to_thread(
        lambda: Sandbox.connect(first.sandbox_id, timeout=2000, **engine.sdk)
    )
    assert third.get_info().end_at > datetime.now(UTC) + timedelta(seconds=1900)
    assert await first.kill()


async def test_the_list_filters_by_metadata_and_state_newest_first(engine: RunningEngine) -> None:
    mark = {"mark": "list me & more=1"}
    made = [
        await AsyncSandbox.create(timeout=60, metadata={**mark, "n": str(n)}, **engine.sdk)
        for n in range(3)
    ]
    query = SandboxQuery(metadata=mark)
    found = await AsyncSandbox.list(query=query, **engine.sdk).next_items()
    assert [one.sandbox_id for one in found] == [one.sandbox_id for one in reversed(made)]
    one = SandboxQuery(metadata={**mark, "n": "1"}, state=[SandboxState.RUNNING])
    assert [
        box.sandbox_id for box in await AsyncSandbox.list(query=one, **engine.sdk).next_items()
    ] == [made[1].sandbox_id]
    paused = SandboxQuery(metadata=mark, state=[SandboxState.PAUSED])
    assert await AsyncSandbox.list(query=paused, **engine.sdk).next_items() == []
    for sandbox in made:
        await sandbox.kill()
    assert await AsyncSandbox.list(query=query, **engine.sdk).next_items() == []


async def the_rest(pages: Any) -> list[str]:
    assert pages.has_next
    found = []
    while pages.has_next:
        found += [box.sandbox_id for box in await pages.next_items()]
    return found


async def test_the_list_is_paged_and_a_page_survives_a_kill_between(engine: RunningEngine) -> None:
    mark = {"mark": "paged"}
    made = [await AsyncSandbox.create(timeout=60, metadata=mark, **engine.sdk) for _ in range(5)]
    pages = AsyncSandbox.list(query=SandboxQuery(metadata=mark), limit=2, **engine.sdk)
    seen = [box.sandbox_id for box in await pages.next_items()]
    await made[3].kill()  # on the first page, which has been read
    seen += await the_rest(pages)
    assert seen == [box.sandbox_id for box in reversed(made)]
    for sandbox in made:
        await sandbox.kill()


async def test_metrics_show_what_is_used(sandbox: AsyncSandbox) -> None:
    await sandbox.commands.run("head -c 20000000 /dev/zero > big")
    (measured,) = await sandbox.get_metrics()
    assert measured.disk_used > 20_000_000
    assert measured.disk_total == 256 * 1024 * 1024
    assert measured.mem_total == 512 * 1024 * 1024
    assert measured.cpu_count == 1


async def test_the_same_idempotency_key_is_the_same_sandbox(engine: RunningEngine) -> None:
    options = {"timeout": 60, "idempotency_key": "one-and-only", **engine.sdk}
    first, second = await asyncio.gather(
        AsyncSandbox.create(**options), AsyncSandbox.create(**options)
    )
    assert first.sandbox_id == second.sandbox_id
    await first.kill()
    third = await AsyncSandbox.create(**options)
    assert third.sandbox_id != first.sandbox_id
    await third.kill()


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"{", "body"),
        (b"[]", "body"),
        (b"{}", "templateID"),
        (b'{"templateID": ""}', "templateID"),
        (b'{"templateID": "base", "timeout": "soon"}', "timeout"),
        (b'{"templateID": "base", "timeout": -1}', "timeout"),
        (b'{"templateID": "base", "timeout": 99999999}', "timeout"),
        (b'{"templateID": "base", "metadata": {"a": 1}}', "metadata.a"),
        (b'{"templateID": "base", "envVars": {"a": "\\u0000"}}', "envVars"),
    ],
)
async def test_a_bad_create_names_the_field_and_makes_nothing(
    engine: RunningEngine, body: bytes, named: str
) -> None:
    async with httpx.AsyncClient(base_url=engine.url) as client:
        before = (await client.get("/health")).json()["sandboxes"]
        answer = await client.post("/v2/sandboxes", content=body, headers={"X-API-KEY": "k"})
        after = (await client.get("/health")).json()["sandboxes"]
    assert answer.status_code == 400
    assert answer.json()["code"] == 400
    assert answer.json()["message"].startswith(named)
    assert after == before


async def test_what_one_machine_can_not_do_is_refused_in_clear_words(
    engine: RunningEngine,
) -> None:
    body = {"templateID": "base", "network": {"allowOut": ["example.com"]}}
    async with httpx.AsyncClient(base_url=engine.url, headers={"X-API-KEY": "k"}) as client:
        refused = await client.post("/v2/sandboxes", json=body)
        assert refused.status_code == 501
        assert "loopback" in refused.json()["message"]
        for path in ("/v3/templates", "/volumes", "/templates/x/builds/y"):
            assert (await client.get(path)).status_code == 501
        assert (await client.get("/nothing")).status_code == 404


async def test_a_key_is_needed_and_with_a_key_set_only_that_one_fits(
    engine: RunningEngine, tmp_path: Any
) -> None:
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"{engine.url}/v2/sandboxes")).status_code == 401
        assert (await client.get(f"{engine.url}/health")).status_code == 200
    strict = start_engine(tmp_path, api_key="e2b_secret", pool_size=0, max_sandboxes=1)
    try:
        with pytest.raises(AuthenticationException):
            await AsyncSandbox.create(**{**strict.sdk, "api_key": "wrong"})
        only = await AsyncSandbox.create(timeout=60, **strict.sdk)
        with pytest.raises(RateLimitException):
            await AsyncSandbox.create(timeout=60, retries=0, **strict.sdk)
        await only.kill()
    finally:
        assert strict.stop() == 0


async def test_the_v1_routes_work_and_live_15_seconds_by_default(engine: RunningEngine) -> None:
    async with httpx.AsyncClient(base_url=engine.url, headers={"X-API-KEY": "k"}) as client:
        made = (await client.post("/sandboxes", json={"templateID": "base"})).json()
        path = f"/sandboxes/{made['sandboxID']}"
        end = datetime.fromisoformat((await client.get(path)).json()["endAt"])
        assert end < datetime.now(UTC) + timedelta(seconds=16)
        assert (await client.post(f"{path}/connect", json={"timeout": 60})).status_code == 200
        assert (await client.post(f"{path}/refreshes", json={})).status_code == 204
        lines = (await client.get(f"{path}/logs")).json()["logs"]
        assert "runs for 15 s" in lines[0]["line"]
        assert (await client.delete(path)).status_code == 204
        assert (await client.delete(path)).status_code == 404


@pytest.mark.parametrize("limit", ["0", "101", "x", "²", "9" * 5000])
async def test_a_page_that_can_not_be_is_named(engine: RunningEngine, limit: str) -> None:
    async with httpx.AsyncClient(base_url=engine.url, headers={"X-API-KEY": "k"}) as client:
        for path in ("/v2/sandboxes", "/snapshots"):
            answer = await client.get(path, params={"limit": limit})
            assert (answer.status_code, answer.json()["message"]) == (
                400,
                "limit: must be from 1 to 100",
            )


async def test_a_page_that_gives_itself_this_machines_address_learns_nothing(
    engine: RunningEngine,
) -> None:
    async with httpx.AsyncClient(base_url=engine.url, headers={"X-API-KEY": "k"}) as client:
        answer = await client.get("/v2/sandboxes", headers={"Host": f"evil.example:{engine.port}"})
    assert answer.status_code == 403
    assert "set LOCAL_SANDBOXES_API_KEY" in answer.json()["message"]


async def test_network_rules_may_only_close_what_is_closed(sandbox: AsyncSandbox) -> None:
    await sandbox.update_network({"deny_out": ["0.0.0.0/0"]})
    with pytest.raises(SandboxException, match="loopback"):
        await sandbox.update_network({"allow_out": ["example.com"]})
