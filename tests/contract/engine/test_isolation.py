"""What a sandbox must not reach: the machine, the engine, other sandboxes."""

from __future__ import annotations

import asyncio
import os
import socket
import uuid
from pathlib import Path

import pytest
from e2b import AsyncSandbox, FileNotFoundException, SandboxException

from tests.fixtures.engine import RunningEngine


def put(path: Path, content: str) -> Path:
    path.write_text(content)
    return path


def text(path: Path) -> str:
    return path.read_text()


async def out(sandbox: AsyncSandbox, command: str) -> str:
    done = await sandbox.commands.run(f"({command}) 2>&1; true")
    return done.stdout


async def python(sandbox: AsyncSandbox, source: str) -> str:
    await sandbox.files.write("/tmp/attack.py", source)
    return await out(sandbox, "python3 /tmp/attack.py")


@pytest.mark.parametrize(
    "path",
    [
        "/etc/shadow",
        "/root/.bashrc",
        "/proc/1/root/etc/shadow",
        "../../../etc/shadow",
        str(Path(__file__).parents[3]),
        "/sys",
    ],
)
async def test_files_of_the_machine_do_not_exist(sandbox: AsyncSandbox, path: str) -> None:
    with pytest.raises(SandboxException):
        await sandbox.files.read(path)
    assert "No such file" in await out(sandbox, f"ls {path}") or "denied" in await out(
        sandbox, f"ls {path}"
    )


async def test_a_symlink_leads_no_further_than_the_jail(
    sandbox: AsyncSandbox, engine: RunningEngine, tmp_path: Path
) -> None:
    secret = put(tmp_path / "secret", "machine")
    await out(sandbox, f"ln -s {secret} out; ln -s / top; ln -s {engine.data_dir} data")
    with pytest.raises(FileNotFoundException):
        await sandbox.files.read("out")
    with pytest.raises(FileNotFoundException):
        await sandbox.files.list("data")
    names = {entry.name for entry in await sandbox.files.list("top")}
    assert names == {entry.name for entry in await sandbox.files.list("/")}
    assert not await sandbox.files.exists(f"top{secret}")
    with pytest.raises(FileNotFoundException):  # no such folder inside, where the link leads
        await sandbox.files.write("out", "jail")
    await sandbox.files.remove("top/tmp")
    await sandbox.files.remove("out")
    assert text(secret) == "machine"


async def test_the_kernels_switches_are_read_only(sandbox: AsyncSandbox) -> None:
    before = text(Path("/proc/sys/kernel/core_pattern"))
    said = await out(
        sandbox,
        "echo x > /proc/sys/kernel/core_pattern; sudo sh -c 'echo x > /proc/sys/kernel/core_pattern';"
        "echo 1 > /proc/sys/net/ipv4/ip_forward; echo b > /proc/sysrq-trigger",
    )
    assert said.count("denied") + said.count("No such file") + said.count("Read-only") >= 3
    assert text(Path("/proc/sys/kernel/core_pattern")) == before


async def test_the_system_is_read_only(sandbox: AsyncSandbox) -> None:
    said = await out(sandbox, "touch /usr/bin/x; touch /usr/local/x; touch /dev/x; rm /usr/bin/env")
    assert said.count("Read-only") + said.count("denied") == 4


async def test_nobody_gains_privileges(sandbox: AsyncSandbox) -> None:
    status = await out(sandbox, "cat /proc/self/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
    assert fields["NoNewPrivs"] == "1"
    assert fields["Seccomp"] == "2"
    assert (
        await out(sandbox, "su root -c id; mount -t tmpfs none /mnt; chroot / id; dmesg")
    ).count("uid=0") == 0


async def test_the_jails_uid_is_no_ones_on_this_machine(sandbox: AsyncSandbox) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give each sandbox a uid of its own")
    await sandbox.commands.run("exec -a findme-$E2B_SANDBOX_ID sleep 300", background=True)
    name = f"findme-{sandbox.sandbox_id}".encode()
    for _ in range(500):
        if owners_of(name):
            break
        await asyncio.sleep(0.02)
    (uid,) = owners_of(name)
    assert uid > 65_536


def owners_of(name: bytes) -> set[int]:
    """The uids, on this machine, of the processes whose command line holds ``name``."""
    processes = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return {one.stat().st_uid for one in processes if name in _command_line(one)}


def _command_line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


_SYSCALLS = """
import ctypes, os, platform
libc = ctypes.CDLL(None, use_errno=True)
numbers = {"x86_64": dict(ptrace=101, keyctl=250, add_key=248, io_uring_setup=425, bpf=321, mount=165,
    unshare=272, setns=308, perf_event_open=298, userfaultfd=323, pidfd_getfd=438, process_vm_readv=310,
    open_by_handle_at=304, fsopen=430, move_mount=429, pivot_root=155, kexec_load=246, clone3=435),
  "aarch64": dict(ptrace=117, keyctl=219, add_key=217, io_uring_setup=425, bpf=280, mount=40,
    unshare=97, setns=268, perf_event_open=241, userfaultfd=282, pidfd_getfd=438, process_vm_readv=270,
    open_by_handle_at=265, fsopen=430, move_mount=429, pivot_root=41, kexec_load=104, clone3=435)}
for name, number in numbers[platform.machine()].items():
    ctypes.set_errno(0)
    result = libc.syscall(number, 0, 0, 0, 0, 0)
    print(name, result, ctypes.get_errno())
"""


async def test_dangerous_system_calls_are_refused(sandbox: AsyncSandbox) -> None:
    lines = (await python(sandbox, _SYSCALLS)).split("\n")[:-1]
    assert len(lines) == 18
    for line in lines:
        name, result, error = line.split()
        assert int(result) == -1, line
        wanted = 38 if name in ("io_uring_setup", "clone3") else 1  # ENOSYS, EPERM
        assert int(error) == wanted, line


async def test_new_namespaces_are_refused(sandbox: AsyncSandbox) -> None:
    said = await out(
        sandbox,
        "unshare -U id; unshare -Ur id; unshare -n id; unshare -m id; bwrap --ro-bind / / id",
    )
    assert "uid=" not in said


async def test_typing_into_a_terminal_is_refused(sandbox: AsyncSandbox) -> None:
    source = """
import fcntl, os, pty
master, slave = pty.openpty()
pid = os.fork()
if pid == 0:
    os.setsid(); os.close(os.open(os.ttyname(slave), os.O_RDWR))
    for request in (0x5412, 0x5412 | 1 << 40, 0x541C):
        try:
            fcntl.ioctl(slave, request & 0xFFFFFFFF, b"x"); print("typed")
        except OSError as e: print(e.errno, flush=True)
    os._exit(0)
os.waitpid(pid, 0)
"""
    assert (await python(sandbox, source)).split() == ["1", "1", "1"]


async def test_only_loopback_is_there(sandbox: AsyncSandbox, engine: RunningEngine) -> None:
    assert (await out(sandbox, "ls /sys/class/net; cat /proc/net/dev")).count("eth") == 0
    listener = socket.create_server(("0.0.0.0", 0))
    machine = socket.gethostbyname(socket.gethostname())
    try:
        port = listener.getsockname()[1]
        said = await out(
            sandbox,
            f"for to in 127.0.0.1:{engine.port} 127.0.0.1:{port} {machine}:{port} 1.1.1.1:80; do "
            "curl -s -m 2 http://$to/ && echo reached $to; done; echo tried",
        )
    finally:
        listener.close()
    assert said == "tried\n"


async def test_address_families_that_leave_the_namespace_are_refused(sandbox: AsyncSandbox) -> None:
    source = """
import socket
for family in (40, 38, 17, 31, 29, 21):  # vsock, alg, packet, bluetooth, can, rds
    try:
        socket.socket(family, socket.SOCK_DGRAM); print(family, "open")
    except OSError as e: print(family, e.errno)
socket.socket(socket.AF_INET6).close(); socket.socket(socket.AF_UNIX).close()
"""
    said = await python(sandbox, source)
    assert [line.split()[1] for line in said.splitlines()] == ["97"] * 6


async def test_two_sandboxes_see_nothing_of_each_other(
    sandbox: AsyncSandbox, engine: RunningEngine
) -> None:
    other = await AsyncSandbox.create(timeout=60, **engine.sdk)
    await other.files.write("/tmp/theirs", "secret")
    await other.commands.run("exec python3 -m http.server 7777", background=True, cwd="/tmp")
    assert not await sandbox.files.exists("/tmp/theirs")
    assert "python3" not in await out(sandbox, "ps ax -o args | grep -v grep | grep http.server")
    assert await out(sandbox, "curl -s -m 2 http://127.0.0.1:7777/; echo $?") == "7\n"
    # The other's token opens the other alone.
    token = other.connection_config.sandbox_headers["X-Access-Token"]
    assert token != sandbox.connection_config.sandbox_headers["X-Access-Token"]
    await other.kill()


async def test_nothing_of_the_engine_is_visible(
    sandbox: AsyncSandbox, engine: RunningEngine
) -> None:
    token = sandbox.connection_config.sandbox_headers["X-Access-Token"]
    seen = await out(
        sandbox,
        "env; cat /proc/1/environ; cat /proc/*/environ; cat /proc/1/cmdline; hostname; ps axww; "
        "cat /proc/self/mountinfo; ls -la /proc/1/fd /proc/1/cwd/ /proc/1/root/; cat /proc/self/cgroup",
    )
    assert token not in seen
    assert str(engine.data_dir) not in seen
    assert "LOCAL_SANDBOXES" not in seen
    assert socket.gethostname() not in seen.split()
    assert "uvicorn" not in seen


async def test_the_machines_identity_is_hidden(
    sandbox: AsyncSandbox, engine: RunningEngine
) -> None:
    ids = "/proc/sys/kernel/random/boot_id"
    mine = await out(sandbox, f"cat {ids}")
    assert str(uuid.UUID(mine.strip())) == mine.strip()
    assert mine != text(Path(ids))
    other = await AsyncSandbox.create(timeout=60, **engine.sdk)
    assert await out(other, f"cat {ids}") not in (mine, text(Path(ids)))
    await other.kill()
    assert await out(sandbox, "cat /proc/cmdline /proc/keys") == ""
    said = await out(sandbox, "cat /etc/machine-id; cat /sys/class/dmi/id/*; ls /etc/ssl")
    assert said.count("No such file") == 2
    assert "private" not in said


async def test_a_crash_hands_nothing_to_the_machine(sandbox: AsyncSandbox) -> None:
    assert await out(sandbox, "ulimit -c -H; ulimit -c -S") == "0\n0\n"  # in blocks, rounded
    limits = await out(sandbox, "grep core /proc/self/limits")
    assert limits.split()[4:6] == ["1", "1"]
    crash = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    said = await out(sandbox, f"cd /tmp; python3 -c '{crash}'; ls /tmp")
    assert "core" not in said.replace("core dumped", "")


async def test_commands_reach_neither_memory_nor_descriptors_of_the_agent(
    sandbox: AsyncSandbox,
) -> None:
    said = await out(
        sandbox,
        "cat /proc/1/maps; head -c1 /proc/1/mem; ls /proc/1/fd; cat /proc/1/environ; "
        "ls -l /proc/1/exe; echo 0 > /proc/1/oom_score_adj",
    )
    assert said.count("denied") == 6


async def test_the_agent_can_not_be_killed_or_stopped(sandbox: AsyncSandbox) -> None:
    signals = "KILL STOP TERM INT HUP SEGV QUIT USR1 PIPE"
    await out(sandbox, f"for s in {signals}; do kill -$s 1; done")
    with pytest.raises(SandboxException):  # it kills itself
        await sandbox.commands.run("kill -9 -1")
    assert (await sandbox.commands.run("echo alive")).stdout == "alive\n"
    assert await sandbox.is_running()
