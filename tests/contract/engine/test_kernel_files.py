"""Files of /proc: the jail's own processes read them, with the jail's rights, and nobody else."""

from __future__ import annotations

import socket

import httpx
import pytest
from e2b import AsyncSandbox, SandboxException


async def out(sandbox: AsyncSandbox, command: str) -> str:
    return (await sandbox.commands.run(command)).stdout


async def downloaded(sandbox: AsyncSandbox, path: str, encoding: str) -> str:
    async with httpx.AsyncClient() as client:
        got = await client.get(sandbox.download_url(path), headers={"Accept-Encoding": encoding})
    assert got.status_code == 200
    return got.text


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_they_say_what_they_say_inside(sandbox: AsyncSandbox, encoding: str) -> None:
    for path in ("/proc/sys/kernel/hostname", "/proc/self/cgroup", "/proc/cpuinfo"):
        inside = await out(sandbox, f"cat {path}")
        assert await downloaded(sandbox, path, encoding) == inside
        assert inside
    assert socket.gethostname() not in await downloaded(
        sandbox, "/proc/sys/kernel/hostname", encoding
    )


async def test_a_file_that_only_lies_in_proc_is_read_as_any_other(sandbox: AsyncSandbox) -> None:
    boot = "/proc/sys/kernel/random/boot_id"
    assert await sandbox.files.read(boot) == await out(sandbox, f"cat {boot}")
    await sandbox.files.write("/tmp/mine", "mine")
    assert await sandbox.files.read("/proc/1/root/tmp/mine") == "mine"


async def test_one_without_an_end_is_refused(sandbox: AsyncSandbox) -> None:
    command = await sandbox.commands.run("exec sleep 600", background=True)
    # A page map that was opened before an exec ends with the memory that it described.
    await out(sandbox, f"until grep -qx sleep /proc/{command.pid}/comm; do :; done")
    with pytest.raises(SandboxException, match="longer than"):
        await sandbox.files.read(f"/proc/{command.pid}/pagemap")
    assert await out(sandbox, "echo fine") == "fine\n"


async def test_they_cannot_be_written_through_the_engine(sandbox: AsyncSandbox) -> None:
    command = await sandbox.commands.run("exec sleep 100", background=True)
    for name, value in (("autogroup", "-20"), ("oom_score_adj", "-1000"), ("comm", "changed")):
        path = f"/proc/{command.pid}/{name}"
        before = await out(sandbox, f"cat {path}")
        with pytest.raises(SandboxException, match="is the kernel's: write to it with a command"):
            await sandbox.files.write(path, value)
        assert await out(sandbox, f"cat {path}") == before
