"""The log of a sandbox over its two routes, read with the SDK's own generated client."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from e2b import CommandExitException, PtySize
from e2b.api.client.api.sandboxes import (
    get_sandboxes_sandbox_id_logs,
    get_v_2_sandboxes_sandbox_id_logs,
)
from e2b.api.client.client import AuthenticatedClient
from e2b.api.client.models import LogLevel, LogsDirection, SandboxLogEntry
from e2b.api.client.models.sandbox_logs import SandboxLogs
from e2b.api.client.models.sandbox_logs_v2_response import SandboxLogsV2Response

from kit.testing import eventually
from tests.fixtures.engine import RunningEngine


@pytest.fixture
async def client(engine: RunningEngine) -> AsyncIterator[AuthenticatedClient]:
    made = AuthenticatedClient(
        base_url=engine.url, token="k", auth_header_name="X-API-KEY", prefix=""
    )
    async with made:
        yield made


async def entries(
    client: AuthenticatedClient, sandbox_id: str, **query: Any
) -> list[SandboxLogEntry]:
    answer = await get_v_2_sandboxes_sandbox_id_logs.asyncio(sandbox_id, client=client, **query)
    assert isinstance(answer, SandboxLogsV2Response)
    return answer.logs


async def test_what_a_command_does_is_in_its_sandboxes_log(
    box: Any, client: AuthenticatedClient
) -> None:
    await box.commands.run("echo hello; echo oh >&2", envs={"SECRET": "never shown"})
    with pytest.raises(CommandExitException):
        await box.commands.run("exit 3")
    logs = await entries(client, box.sandbox_id)
    own = [one for one in logs if "pid" in one.fields.to_dict()]
    assert [one.message for one in own if one.level == LogLevel.INFO] == [
        "started: echo hello; echo oh >&2",
        "hello",
        "ended: exit status 0",
        "started: exit 3",
    ]
    warnings = await entries(client, box.sandbox_id, level=LogLevel.WARN)
    assert [one.message for one in warnings] == ["oh", "ended: exit status 3"]
    assert warnings[-1].fields["exit_code"] == "3"
    assert "never shown" not in str(logs)
    assert logs == sorted(logs, key=lambda one: one.timestamp)
    assert any(one.fields["logger"] == "sandbox" for one in logs)


async def test_input_and_terminals_stay_out_of_the_log(
    box: Any, client: AuthenticatedClient
) -> None:
    command = await box.commands.run("cat > /dev/null", background=True, stdin=True)
    await box.commands.send_stdin(command.pid, "typed secret")
    await box.commands.close_stdin(command.pid)
    await command.wait()
    terminal = await box.pty.create(PtySize(rows=24, cols=80), **_ignored(box))
    await box.pty.send_stdin(terminal.pid, b"echo typed secret > mark\n")
    await eventually(lambda: box.files.exists("mark"))
    await box.pty.kill(terminal.pid)
    logs = await entries(client, box.sandbox_id)
    assert "typed secret" not in str(logs)
    assert {one.fields["pid"] for one in logs if "pid" in one.fields.to_dict()} == {
        str(command.pid),
        str(terminal.pid),
    }


def _ignored(box: Any) -> dict[str, Any]:
    """Only the asynchronous flavour is told at once what a terminal shows."""
    return {} if type(box).__name__ == "Threaded" else {"on_data": lambda _: None}


async def test_the_log_is_searched_limited_and_read_from_either_end(
    box: Any, client: AuthenticatedClient
) -> None:
    await box.commands.run("seq -f 'line-%03g' 50")
    found = await entries(client, box.sandbox_id, search="line-0", limit=3)
    assert [one.message for one in found] == ["line-001", "line-002", "line-003"]
    last = await entries(
        client, box.sandbox_id, search="line-", limit=2, direction=LogsDirection.BACKWARD
    )
    assert [one.message for one in last] == ["line-050", "line-049"]
    before = int(last[-1].timestamp.timestamp() * 1000) - 1_000_000
    assert (
        await entries(client, box.sandbox_id, cursor=before, direction=LogsDirection.BACKWARD) == []
    )
    everything = await entries(client, box.sandbox_id)
    assert await entries(client, box.sandbox_id, cursor=before) == everything
    old = await get_sandboxes_sandbox_id_logs.asyncio(box.sandbox_id, client=client)
    assert isinstance(old, SandboxLogs)
    assert old.log_entries == everything
    assert [json.loads(one.line)["message"] for one in old.logs] == [
        one.message for one in everything
    ]


async def test_bad_questions_about_a_log_are_refused(engine: RunningEngine, box: Any) -> None:
    async with httpx.AsyncClient(base_url=engine.url, headers={"X-API-KEY": "k"}) as client:
        for version in ("", "/v2"):
            path = f"{version}/sandboxes/{box.sandbox_id}/logs"
            refused = await client.get(path, params={"limit": "1001"})
            assert (refused.status_code, refused.json()["message"][:6]) == (400, "limit:")
            unknown = await client.get(f"{version}/sandboxes/nobody/logs")
            assert unknown.status_code == 404


async def test_a_flood_of_output_leaves_a_small_log(box: Any, client: AuthenticatedClient) -> None:
    await box.commands.run("yes | head -c 30000000", retain_output=False, timeout=60)
    await box.commands.run("echo the end")
    logs = await entries(client, box.sandbox_id, direction=LogsDirection.BACKWARD)
    assert "the end" in [one.message for one in logs[:3]]
    assert len(logs) == 1000
    assert any("were left out" in one.message for one in logs)
