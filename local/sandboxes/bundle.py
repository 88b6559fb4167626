"""The agent as one file: its modules, compiled by the interpreter that will run them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

AGENT = Path(__file__).with_name("agent")

# Run by the jails' own interpreter: byte code is only good for the version that made it.
_BUILD = """
import importlib.util, marshal, sys, zipfile
archive = zipfile.ZipFile(sys.stdout.buffer, "w")
def add(name, source):
    code = compile(source, "<agent>/" + name, "exec", dont_inherit=True, optimize=2)
    archive.writestr(name + ".pyc", importlib.util.MAGIC_NUMBER + bytes(12) + marshal.dumps(code))
add("__main__", "from agent.main import main; main()")
for path in sys.argv[1:]:
    name = path.rpartition("/")[2][:-3]
    add("agent/" + name, open(path, encoding="utf-8").read())
archive.close()
"""


class BundleError(Exception):
    """The jails' interpreter can't compile the agent."""


def build(python: str) -> int:
    """A memory file with the agent in it; the caller owns the descriptor."""
    sources = sorted(str(path) for path in AGENT.glob("*.py"))
    done = subprocess.run(  # noqa: S603 -- our own program and our own files
        [python, "-I", "-S", "-c", _BUILD, *sources],
        capture_output=True,
        check=False,
        env={},
        timeout=60,
    )
    if done.returncode != 0:
        raise BundleError(done.stderr.decode("utf-8", "replace").strip())
    descriptor = os.memfd_create("agent", os.MFD_CLOEXEC)
    os.write(descriptor, done.stdout)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
