"""Templates and their pool: a folder becomes sandboxes whose start command runs already."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from e2b import AsyncSandbox, SandboxException

from kit.testing import eventually
from tests.fixtures.engine import RunningEngine, start_engine

SERVER = """\
import http.server, os, pathlib
pathlib.Path("/tmp/starts").open("a").write("started\\n")
print("serving", os.environ["GREETING"], flush=True)
http.server.test(http.server.SimpleHTTPRequestHandler, http.server.ThreadingHTTPServer, port=8000)
"""


def write_template(folder: Path, name: str, text: str, files: dict[str, str] | None = None) -> None:
    """A template's folder; ``files`` by their paths inside a sandbox."""
    root = folder / name / "root"
    root.mkdir(parents=True)
    for path, content in (files or {}).items():
        target = root / path.removeprefix("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
    (folder / name / "template.toml").write_text(text)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEngine]:
    """An engine with a template ``web`` that serves a page, and some that fail."""
    folder = tmp_path_factory.mktemp("templates")
    files = {
        "/home/user/server.py": SERVER,
        "/home/user/site/index.html": "<h1>From the template</h1>",
        "/home/user/site/tool.sh": "#!/bin/sh\necho tool",
    }
    start = (
        'command = "exec python3 ~/server.py"\ncwd = "site"\nready_port = 8000\nready_path = "/"\n'
    )
    write_template(
        folder, "web", f'pool = 2\n[start]\n{start}envs = {{GREETING = "hello"}}\n', files
    )
    (folder / "web/root/home/user/site/tool.sh").chmod(0o755)
    (folder / "web/root/home/user/site/start.html").symlink_to("index.html")
    write_template(folder, "files-only", "pool = 0\n", {"/srv/data": "of the template"})
    ready = '[start]\ncommand = "sleep 0.2; touch /tmp/ready; exec sleep 600"\n'
    write_template(folder, "by-command", f'pool = 0\n{ready}ready_command = "test -e /tmp/ready"\n')
    write_template(
        folder,
        "broken",
        'pool = 0\n[start]\ncommand = "echo no such luck; exit 3"\nready_port = 1\n',
    )
    slow = (
        '[start]\ncommand = "echo waiting; exec sleep 600"\nready_port = 1\nready_timeout = 0.3\n'
    )
    write_template(folder, "slow", f"pool = 0\n{slow}")
    running = start_engine(tmp_path_factory.mktemp("engine"), templates_dir=folder, pool_size=1)
    yield running
    assert running.stop() == 0


async def page(engine: RunningEngine, sandbox: AsyncSandbox, path: str = "/") -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(engine.url + path, headers={"Host": sandbox.get_host(8000)})


async def test_a_sandbox_begins_with_the_files_and_a_running_server(served: RunningEngine) -> None:
    sandbox = await AsyncSandbox.create("web", envs={"WHO": "me"}, **served.sdk)
    assert "From the template" in (await page(served, sandbox)).text
    assert (await page(served, sandbox, "/start.html")).status_code == 200
    assert (await sandbox.commands.run("site/tool.sh")).stdout == "tool\n"
    assert (await sandbox.commands.run("stat -c '%U %a' site/index.html")).stdout == "user 644\n"
    assert (await sandbox.commands.run("echo $WHO $GREETING $E2B_TEMPLATE_ID")).stdout == "me web\n"
    started = [one.tag for one in await sandbox.commands.list()]
    assert started == ["start"]
    assert (await sandbox.commands.run("wc -l < /tmp/starts")).stdout.strip() == "1"
    lines = await log_of(served, sandbox)
    assert any("serving hello" in line for line in lines)
    await sandbox.kill()


async def log_of(engine: RunningEngine, sandbox: AsyncSandbox) -> list[str]:
    async with httpx.AsyncClient(base_url=engine.url, headers={"X-API-KEY": "k"}) as client:
        answer = await client.get(f"/sandboxes/{sandbox.sandbox_id}/logs")
        return [one["line"] for one in answer.json()["logs"]]


async def test_the_start_command_runs_again_after_a_pause_to_disk_and_in_copies(
    served: RunningEngine,
) -> None:
    sandbox = await AsyncSandbox.create("web", **served.sdk)
    await sandbox.files.write("site/index.html", "changed")
    await sandbox.pause(mode="filesystem")
    await sandbox.connect()
    assert (await page(served, sandbox)).text == "changed"
    snapshot = await sandbox.create_snapshot()
    copy = await AsyncSandbox.create(snapshot.snapshot_id, **served.sdk)
    fork = (await sandbox.fork())[0]
    assert isinstance(fork, AsyncSandbox)
    for one in (copy, fork):
        assert (await page(served, one)).text == "changed"
        await one.kill()
    await AsyncSandbox.delete_snapshot(snapshot.snapshot_id, **served.sdk)
    await sandbox.kill()


async def test_files_alone_and_a_ready_command_will_do(served: RunningEngine) -> None:
    plain = await AsyncSandbox.create("files-only", **served.sdk)
    assert await plain.files.read("/srv/data") == "of the template"
    assert await plain.commands.list() == []
    waited = await AsyncSandbox.create("by-command", **served.sdk)
    assert await waited.files.exists("/tmp/ready")
    for one in (plain, waited):
        await one.kill()


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("broken", "start command ended with exit status 3 before it was ready: no such luck"),
        ("slow", "not ready after 0.3 s: waiting"),
        ("unheard-of", "template 'unheard-of' not found: this engine has base, "),
    ],
)
async def test_a_template_that_does_not_start_says_why(
    served: RunningEngine, template: str, message: str
) -> None:
    with pytest.raises(SandboxException, match=message):
        await AsyncSandbox.create(template, **served.sdk)
    assert not [
        one
        for one in await AsyncSandbox.list(**served.sdk).next_items()
        if one.template_id == template
    ]


async def test_more_creates_than_the_pool_holds_are_all_served(served: RunningEngine) -> None:
    made = [await AsyncSandbox.create("web", timeout=60, **served.sdk) for _ in range(5)]
    for sandbox in made:
        assert "From the template" in (await page(served, sandbox)).text
        await sandbox.kill()


async def test_the_engine_survives_agents_and_servers_dying_in_the_pool(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "templates"
    write_template(
        folder,
        "web",
        'pool = 3\n[start]\ncommand = "exec python3 -S -m http.server 8000"\nready_port = 8000\n',
    )
    engine = start_engine(tmp_path / "engine", templates_dir=folder, pool_size=0)
    try:
        servers = await pooled(engine, 3)
        os.kill(servers[0].pid, signal.SIGKILL)  # the start command
        agent = servers[1].parent()
        assert agent is not None
        agent.kill()  # process 1 of a jail
        made = [await AsyncSandbox.create("web", timeout=60, **engine.sdk) for _ in range(3)]
        for sandbox in made:
            assert (await page(engine, sandbox)).status_code == 200
            await sandbox.kill()
        await pooled(engine, 3)
    finally:
        assert engine.stop() == 0


async def pooled(engine: RunningEngine, count: int) -> list[psutil.Process]:
    """The servers of ``count`` warm sandboxes, once there are so many."""
    found: list[psutil.Process] = []

    async def warm() -> bool:
        children = psutil.Process(engine.pid).children(recursive=True)
        found[:] = [one for one in children if one.is_running() and "http.server" in _line(one)]
        return len(found) == count

    await eventually(warm)
    return found


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("web", "[start]\ncwd = '/'\n", "start.command: Field required"),
        ("web", "[start\n", "template.toml: "),
        ("web", "pool = -1\n", "pool: "),
        ("web", "colour = 'red'\n", "colour: Extra inputs are not permitted"),
        (
            "web",
            "[start]\ncommand = 'x'\nready_port = 1\nready_command = 'y'\n",
            "give ready_port or ready_command, not both",
        ),
        ("Web", "", "small letters"),
    ],
)
def test_a_template_that_can_not_be_read_stops_the_engine_at_once(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    write_template(tmp_path / "templates", name, text)
    with pytest.raises(RuntimeError, match="did not start") as raised:
        start_engine(tmp_path / "engine", templates_dir=tmp_path / "templates")
    assert message in str(raised.value)


def test_a_template_can_not_hide_what_belongs_to_the_machine(tmp_path: Path) -> None:
    write_template(tmp_path / "templates", "web", "", {"/usr/bin/python3": "mine"})
    with pytest.raises(RuntimeError, match="can't put files into /usr"):
        start_engine(tmp_path / "engine", templates_dir=tmp_path / "templates")
