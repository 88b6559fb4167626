"""Small programs that run inside a sandbox: standard library only, Python 3.9 or later, one file each.

They are handed to the sandbox's own Python as text, so they import nothing of ours.
"""

from __future__ import annotations

import shlex
from pathlib import Path


def program(name: str, *arguments: str) -> str:
    """The shell command that runs one of them."""
    source = Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
    return shlex.join(["python3", "-I", "-S", "-c", source, *arguments])
