"""Checks sites for the process that started it: requests on stdin, answers on stdout, until stdin ends."""

from __future__ import annotations

import base64
import json
import os
import resource
import signal
import sys
from dataclasses import asdict
from typing import Any

from services.generation.checks.site import Files, blamed

_MEMORY_BYTES = 1024**3
_MOST_FINDINGS = 1_000


def main() -> None:
    """Each request and each answer is its length in four bytes, then JSON."""
    # Whatever a library prints belongs to the log.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while head := sys.stdin.buffer.read(4):
        request = json.loads(sys.stdin.buffer.read(int.from_bytes(head, "big")))
        # A parser that does not come to an end is ended, also where nobody waits any more.
        signal.alarm(request["seconds"])
        found = blamed(_files(request["before"]), _files(request["after"]))
        signal.alarm(0)
        text = json.dumps([asdict(finding) for finding in found[:_MOST_FINDINGS]]).encode()
        answers.write(len(text).to_bytes(4, "big") + text)
        answers.flush()


def _files(given: dict[str, Any]) -> Files:
    return {
        path: None if content is None else base64.b64decode(content)
        for path, content in given.items()
    }


if __name__ == "__main__":
    main()
