"""What listens in a sandbox, and what a sandbox uses."""

from __future__ import annotations

from kit.testing import eventually
from protos.sandbox.v1 import sandbox_pb2
from tests.fixtures.projects import ProjectsService
from tests.fixtures.sandbox import SandboxService

SERVER = """
import http.server, socket, sys
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
    def server_bind(self):
        if ":" in sys.argv[1]:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        super().server_bind()
Server((sys.argv[1], int(sys.argv[2])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
HOSTS = {"0.0.0.0": 9000, "127.0.0.1": 9001, "::1": 9002}
# Accepts connections and says nothing.
SILENT = "import socket, time; s = socket.create_server(('', 9003)); time.sleep(1000)"


async def test_servers_side_by_side_are_told_with_their_addresses_and_readiness(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    caller = sandbox_service.as_user(user)
    created = await caller.create(project_id)
    await caller.upload(project_id, "server.py", SERVER.encode())
    await caller.upload(project_id, "index.html", b"by the other server")
    starts = [f"python3 server.py {host} {port}" for host, port in HOSTS.items()]
    starts.append(f'python3 -c "{SILENT}"')
    background = " ".join(f"{start} >/dev/null 2>&1 &" for start in starts)
    await caller.run_to_end(project_id, background)

    async def listening() -> bool:
        ready = [port.ready for port in (await caller.ports(project_id)).values()]
        return (len(ready), sum(ready)) == (5, 4)

    assert await eventually(listening)
    found = await caller.ports(project_id)
    assert list(found) == [8000, 9000, 9001, 9002, 9003]
    assert [port.ready for port in found.values()] == [True, True, True, True, False]
    assert [port.preview for port in found.values()] == [True, False, False, False, False]
    assert found[8000].preview_url == created.sandbox_url
    assert {port.process_name for port in found.values()} == {"python3"}
    assert len({port.pid for port in found.values()}) == 5
    assert all(port.pid > 1 for port in found.values())
    for number in (9000, 9001):
        page = await sandbox_service.preview(found[number].preview_url)
        assert (page.status_code, page.content) == (200, b"by the other server")
    await caller.run_to_end(project_id, f"kill {found[9000].pid}")

    async def gone() -> bool:
        return 9000 not in await caller.ports(project_id)

    assert await eventually(gone)


async def test_a_sleeping_sandbox_tells_its_stats_without_being_woken(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    caller = sandbox_service.as_user(user)
    await caller.upload(project_id, "a.txt", b"12345")
    await caller.run_to_end(project_id, "true")
    awake = await caller.stats(project_id)
    assert (awake.file_count, awake.file_bytes, awake.commands_run) == (1, 5, 1)
    assert awake.cpu_count > 0
    assert awake.memory_total_mib > 0
    assert awake.disk_total_mib > 0
    await caller.call("PauseSandbox", sandbox_pb2.PauseSandboxRequest(project_id=project_id))
    asleep = await caller.stats(project_id)
    assert asleep.status == sandbox_pb2.SANDBOX_STATUS_PAUSED
    assert (asleep.file_count, asleep.file_bytes, asleep.commands_run) == (1, 5, 1)
    assert (asleep.cpu_used_percent, asleep.memory_used_mib) == (0, 0)
    assert asleep.sandbox_id == awake.sandbox_id
    assert (await caller.get(project_id)).status == sandbox_pb2.SANDBOX_STATUS_PAUSED


async def test_commands_are_counted_in_the_users_usage(
    sandbox_service: SandboxService, projects_service: ProjectsService
) -> None:
    user = await projects_service.user()
    project_id = await user.new_project()
    caller = sandbox_service.as_user(user)
    await caller.create(project_id)
    for _ in range(2):
        await caller.run_to_end(project_id, "true")
    await sandbox_service.sql(
        "INSERT INTO commands (command_id, sandbox_id, owner_id, begun_at, alive_until, ended_at)"
        " VALUES ('cmd-old', 'sbx-old', :owner, now() - interval '25 hours', now(), now())",
        owner=user.user_id,
    )
    usage = await caller.call("GetSandboxUsage", sandbox_pb2.GetSandboxUsageRequest())
    assert usage.commands_today == 2
