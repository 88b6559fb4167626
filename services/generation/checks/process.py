"""Checks in a process of their own: what a parser does to it, or how long it takes, harms nobody else."""

from __future__ import annotations

import asyncio
import base64
import json
import math
import os
import sys
from asyncio.subprocess import PIPE, Process

import structlog

from services.generation.checks.site import Files
from services.generation.model import Finding

_log = structlog.get_logger(__name__)
_MOST_ANSWER_BYTES = 64 * 1024 * 1024


class Checker:
    """One process, started when it is first needed and again where it was lost. One check at a time."""

    def __init__(self, seconds: float) -> None:
        """A check that takes longer than ``seconds``, or waits so long for others, is given up."""
        self._seconds = seconds
        self._process: Process | None = None
        self._turn = asyncio.Lock()

    async def blamed(self, before: Files, after: Files) -> list[Finding] | None:
        """What the change from ``before`` to ``after`` is to blame for; ``None`` where that could not be found out."""
        try:
            async with asyncio.timeout(self._seconds):
                await self._turn.acquire()
        except TimeoutError:
            _log.warning("check given up", files=len(after), error="others take too long")
            return None
        try:
            async with asyncio.timeout(self._seconds):
                return await self._asked(before, after)
        except Exception as exc:  # noqa: BLE001 - however the process is lost: work is not, for want of a check
            _log.warning("check given up", files=len(after), error=type(exc).__name__)
            await self._end()
            return None
        except BaseException:
            # Its answer would be taken for the next one's.
            await self._end()
            raise
        finally:
            self._turn.release()

    async def close(self) -> None:
        """Ends the process."""
        async with self._turn:
            await self._end()

    async def _asked(self, before: Files, after: Files) -> list[Finding]:
        if self._process and self._process.returncode is not None:
            await self._end()
        process = self._process or await self._begun()
        assert process.stdin
        assert process.stdout
        request = {
            "seconds": max(1, math.ceil(self._seconds)),
            "before": _encoded(before),
            "after": _encoded(after),
        }
        text = json.dumps(request).encode()
        process.stdin.write(len(text).to_bytes(4, "big") + text)
        await process.stdin.drain()
        size = int.from_bytes(await process.stdout.readexactly(4), "big")
        if size > _MOST_ANSWER_BYTES:
            raise ValueError("the answer is too long")
        return [Finding(**one) for one in json.loads(await process.stdout.readexactly(size))]

    async def _begun(self) -> Process:
        # Of our environment it needs nothing, and what models write must not come near our secrets.
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.generation.checks"),
            stdin=PIPE,
            stdout=PIPE,
            env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONSAFEPATH": "1"},
            start_new_session=True,
        )
        return self._process

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.kill()
        await process.wait()


def _encoded(files: Files) -> dict[str, str | None]:
    return {
        path: None if content is None else base64.b64encode(content).decode()
        for path, content in files.items()
    }
