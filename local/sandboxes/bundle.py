"""The agent as one file of byte code, made by the interpreter that will run it.

One file, and no archive: to run one, Python first imports what can read archives, and that took
more than half of the time until an agent was ready.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

AGENT = Path(__file__).with_name("agent")

# Run by the jails' own interpreter: byte code is only good for the version that made it.
_BUILD = """
import ast, graphlib, importlib.util, marshal, sys

START = '''
import sys
module = type(sys)
package = sys.modules["agent"] = module("agent")
for name, code in "MODULES":
    one = sys.modules["agent." + name] = module("agent." + name)
    one.__package__ = "agent"
    setattr(package, name, one)
    exec(code, one.__dict__)
one.main()
'''

def compiled(source, name):
    return compile(source, "<agent>/" + name, "exec", dont_inherit=True, optimize=2)

def siblings(source):
    found = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom))
    return {one.name for node in found if node.level == 1 for one in node.names}

sources = {}
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as file:
        sources[path.rpartition("/")[2][:-3]] = file.read()
needed = graphlib.TopologicalSorter()
for name, source in sources.items():
    needed.add(name, *siblings(source))
needed.add("main", *(sources.keys() - {"main"}))
modules = tuple((name, compiled(sources[name], name)) for name in needed.static_order())
start = compiled(START, "start")
start = start.replace(
    co_consts=tuple(modules if one == "MODULES" else one for one in start.co_consts)
)
sys.stdout.buffer.write(importlib.util.MAGIC_NUMBER + bytes(12) + marshal.dumps(start))
"""


class BundleError(Exception):
    """The jails' interpreter can't compile the agent."""


def build(python: str) -> int:
    """A memory file with the agent in it; the caller owns the descriptor."""
    sources = sorted(str(path) for path in AGENT.glob("[!_]*.py"))
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
