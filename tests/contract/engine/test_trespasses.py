"""Programs in a sandbox that reach for the machine, for a neighbour, or for what runs them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import uuid
from collections.abc import AsyncIterator

import psutil
import pytest
from e2b import AsyncSandbox, SandboxException

from tests.fixtures.engine import RunningEngine
from tests.fixtures.jails import jails_of, until


@pytest.fixture
async def neighbour(engine: RunningEngine) -> AsyncIterator[AsyncSandbox]:
    """A sandbox that must not notice."""
    made = await AsyncSandbox.create(timeout=300, **engine.sdk)
    await made.files.write("mine.txt", "untouched")
    yield made
    await made.kill()


async def answers(engine: RunningEngine, neighbour: AsyncSandbox) -> None:
    assert await neighbour.files.read("mine.txt") == "untouched"
    assert (await neighbour.commands.run("echo ok", timeout=60)).stdout == "ok\n"
    assert engine.process.poll() is None


async def run(sandbox: AsyncSandbox, source: str) -> str:
    await sandbox.files.write("/tmp/attack.py", source)
    return (await sandbox.commands.run("python3 /tmp/attack.py 2>&1; true", timeout=60)).stdout


# Each prints one line for everything that it was refused, and "got" for what it was not.
_TRY = """
import ctypes, os, socket, stat, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def attempt(what, *arguments):
    try:
        result = what(*arguments)
        if isinstance(result, int) and result == -1: raise OSError(ctypes.get_errno(), "")
        print("got", what, arguments, result)
    except OSError as e: print("refused", e.errno)
"""

ATTEMPTS = {
    "clocks": (
        """
attempt(time.clock_settime, time.CLOCK_REALTIME, 0.0)
attempt(libc.settimeofday, bytes(16), None)
attempt(libc.adjtimex, struct.pack("I", 0x2000) + bytes(400))
""",
        3,
    ),
    "devices": (
        """
for kind, major, minor in ((stat.S_IFBLK, 254, 0), (stat.S_IFBLK, 8, 0), (stat.S_IFCHR, 1, 1)):
    attempt(os.mknod, f"/tmp/{major}.{minor}", kind | 0o666, os.makedev(major, minor))
attempt(open, "/dev/mem"); attempt(open, "/dev/kmsg"); attempt(open, "/proc/kcore")
""",
        6,
    ),
    "links to what is not its own": (
        """
for path in ("/usr/bin/env", "/run/agent", "/etc/ssl/openssl.cnf", "/proc/self/exe"):
    attempt(os.link, path, "/tmp/linked")
attempt(open, "/usr/bin/env", "wb"); attempt(open, "/run/agent", "wb")
attempt(os.rename, "/usr/bin/env", "/tmp/env"); attempt(os.unlink, "/run/agent")
""",
        8,
    ),
    "priority": (
        """
attempt(os.setpriority, os.PRIO_PROCESS, 0, -10)
attempt(os.sched_setscheduler, 0, os.SCHED_FIFO, os.sched_param(50))
""",
        2,
    ),
    "identity": (
        """
for number in (0, 1, 65534): attempt(os.setuid, number); attempt(os.setgid, number)
attempt(os.setgroups, [0]); attempt(os.chown, "/tmp", 0, 0)
""",
        8,
    ),
    "asynchronous input and output": (
        """
attempt(libc.syscall, 206 if os.uname().machine == "x86_64" else 0, 128, ctypes.byref(ctypes.c_long()))
""",
        1,
    ),
    "switches of the kernel": (
        """
for name in ("kernel/hostname", "kernel/core_pattern", "vm/overcommit_memory", "user/max_user_namespaces",
             "net/ipv4/ip_forward", "kernel/random/boot_id"):
    if os.path.exists("/proc/sys/" + name): attempt(open, "/proc/sys/" + name, "w")
    else: print("refused 2")
""",
        6,
    ),
}


@pytest.mark.parametrize("name", ATTEMPTS.keys())
async def test_what_belongs_to_the_machine_is_refused(
    engine: RunningEngine, sandbox: AsyncSandbox, neighbour: AsyncSandbox, name: str
) -> None:
    source, count = ATTEMPTS[name]
    lines = (await run(sandbox, _TRY + source)).splitlines()
    assert [line for line in lines if not line.startswith("refused")] == []
    assert len(lines) == count
    await answers(engine, neighbour)


async def test_a_setuid_program_gives_nothing(sandbox: AsyncSandbox) -> None:
    done = await sandbox.commands.run(
        "cp /usr/bin/id /tmp/id && chmod 6755 /tmp/id && /tmp/id -u; su -c id </dev/null; true"
    )
    assert done.stdout == "1000\n"


async def test_signals_reach_nothing_outside(
    engine: RunningEngine, sandbox: AsyncSandbox, neighbour: AsyncSandbox
) -> None:
    source = """
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
reached = 0
for pid in [*range(2, 40000), *range(-40000, -1)]:
    if abs(pid) in (os.getpid(), os.getpgid(0), os.getppid()): continue
    try: os.kill(pid, signal.SIGTERM); reached += 1
    except OSError: pass
print(reached, os.getsid(0) > 1)
"""
    assert (await run(sandbox, source)).split()[0] == "0"
    await answers(engine, neighbour)
    assert await sandbox.is_running()


async def test_sockets_of_the_machine_are_out_of_reach(
    sandbox: AsyncSandbox, neighbour: AsyncSandbox
) -> None:
    name = f"abstract-{uuid.uuid4().hex}"
    with socket.socket(socket.AF_UNIX) as abstract, socket.socket(type=socket.SOCK_DGRAM) as udp:
        abstract.bind("\0" + name)
        abstract.listen()
        udp.bind(("0.0.0.0", 0))
        udp.setblocking(False)
        port = udp.getsockname()[1]
        listen = "import socket; s = socket.socket(socket.AF_UNIX); s.bind('\\0theirs'); s.listen(); s.accept()"
        await neighbour.commands.run(f'exec python3 -c "{listen}"', background=True)
        source = f"""
import socket
for name in ("{name}", "theirs"):
    try: socket.socket(socket.AF_UNIX).connect("\\0" + name); print("reached", name)
    except OSError as e: print(e.errno)
for host in ("127.0.0.1", "255.255.255.255", "{socket.gethostbyname(socket.gethostname())}", "224.0.0.1"):
    try:
        s = socket.socket(type=socket.SOCK_DGRAM); s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        s.sendto(b"hello", (host, {port}))
    except OSError: pass
"""
        assert (await run(sandbox, source)).split() == ["111", "111"]
        with pytest.raises(BlockingIOError):
            udp.recv(10)


async def test_only_its_own_loopback_answers_to_netlink(sandbox: AsyncSandbox) -> None:
    source = """
import socket, struct
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0); s.bind((0, 0))
s.send(struct.pack("IHHII", 16 + 16, 18, 0x301, 1, 0) + bytes(16))
names = s.recv(65536); print(b"lo\\0" in names, b"eth" in names, b"docker" in names)
s.send(struct.pack("IHHII", 16 + 16, 16, 0x605, 2, 0) + struct.pack("BBHiII", 0, 0, 0, 0, 1, 1))
while True:
    data = s.recv(65536)
    if struct.unpack_from("H", data, 4)[0] == 2: print(struct.unpack_from("i", data, 16)[0]); break
"""
    assert (await run(sandbox, source)).split() == ["True", "False", "False", "-1"]


async def test_orphans_are_reaped(
    engine: RunningEngine, sandbox: AsyncSandbox, neighbour: AsyncSandbox
) -> None:
    source = """
import os, time
for n in range(600):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0: os._exit(0)
        os._exit(0)
    os.wait()
for n in range(500):
    stats = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try: stats.append(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0])
        except OSError: pass
    if "Z" not in stats: break
    time.sleep(0.02)
print(stats.count("Z"))
"""
    assert await run(sandbox, source) == "0\n"
    await answers(engine, neighbour)


async def test_titles_and_names_do_not_reach_the_engines_log(
    engine: RunningEngine, sandbox: AsyncSandbox
) -> None:
    title = "\x1b]0;taken\x07\x1b[2J\nlevel=error forged"
    await sandbox.commands.run(f"exec -a '{title}' sleep 300", background=True)
    await sandbox.files.write(f"/tmp/{title}", title)
    with pytest.raises(SandboxException):
        await sandbox.commands.run("true", cwd=f"/{title}")
    assert len(await sandbox.commands.list()) == 1
    logged = engine.log.read_bytes()
    assert b"\x1b]0" not in logged
    assert b"\nlevel=error forged" not in logged


async def test_pipes_that_outlive_their_commands_are_counted(
    engine: RunningEngine, sandbox: AsyncSandbox, neighbour: AsyncSandbox
) -> None:
    """One process collects the output pipes of commands that have ended."""
    await sandbox.files.write(
        "hold.py",
        "import socket\ns = socket.socket(socket.AF_UNIX); s.bind('/tmp/s'); s.listen(128)\n"
        "held = []\nwhile True:\n  c = s.accept()[0]\n"
        "  held.append(socket.recv_fds(c, 1, 2)); c.close()\n",
    )
    await sandbox.files.write(
        "give.py",
        "import socket\ns = socket.socket(socket.AF_UNIX); s.connect('/tmp/s')\n"
        "socket.send_fds(s, [b'x'], [1, 2]); s.recv(1)\n",
    )
    await sandbox.commands.run("exec python3 hold.py", background=True)
    await sandbox.commands.run("until [ -S /tmp/s ]; do sleep 0.02; done")

    async def give() -> None:
        for _ in range(40):
            await sandbox.commands.run("python3 -I -S give.py", background=True)

    with pytest.raises(SandboxException, match="1024 pipes"):
        await asyncio.gather(*(give() for _ in range(16)))
    await answers(engine, neighbour)
    assert (await neighbour.commands.run("echo room")).stdout == "room\n"


async def test_watchers_beyond_the_cap_are_refused(
    engine: RunningEngine, sandbox: AsyncSandbox, neighbour: AsyncSandbox
) -> None:
    handles = [await sandbox.files.watch_dir("/tmp", lambda _: None) for _ in range(64)]
    with pytest.raises(SandboxException, match="64 watchers"):
        await sandbox.files.watch_dir("/tmp", lambda _: None)
    await (await neighbour.files.watch_dir("/tmp", lambda _: None)).stop()  # type: ignore[no-untyped-call]  # of the SDK's
    await answers(engine, neighbour)
    for handle in handles:
        await handle.stop()  # type: ignore[no-untyped-call]  # of the SDK's


async def test_an_agent_that_stands_still_stalls_nobody_and_can_be_killed(
    engine: RunningEngine, sandbox: AsyncSandbox, neighbour: AsyncSandbox
) -> None:
    mine = f"sandbox-{uuid.uuid4().hex}"
    await sandbox.commands.run(f"exec -a {mine} sleep 300", background=True)
    agent = await asyncio.to_thread(parent_of, engine, mine)
    os.kill(agent.pid, signal.SIGSTOP)
    waiting = [asyncio.ensure_future(sandbox.files.read("f")) for _ in range(20)]
    await answers(engine, neighbour)
    assert await sandbox.kill()
    for one in waiting:
        with pytest.raises(SandboxException):
            await one
    assert not agent.is_running() or agent.status() == psutil.STATUS_ZOMBIE
    await answers(engine, neighbour)


def parent_of(engine: RunningEngine, title: str) -> psutil.Process:
    """The agent whose command has this title, once the shell has become it."""
    found: list[psutil.Process | None] = []

    def appeared() -> bool:
        with contextlib.suppress(psutil.NoSuchProcess):
            found[:] = [one.parent() for one in jails_of(engine) if title in one.cmdline()]
        return any(found)

    until(appeared)
    assert found[0] is not None
    return found[0]
