"""The local engine's template, written by the sandbox service that knows what has to be in it."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Sequence

from local.stack.child import BadSetting, Say
from local.stack.plan import Process
from local.stack.settings import StackSettings


async def write_template(settings: StackSettings, processes: Sequence[Process], say: Say) -> None:
    """Writes it where the engine of the plan looks for it. Raises ``BadSetting`` where a setting forbids it."""
    if not settings.local_engine:
        return
    (sandbox,) = (process for process in processes if process.name == "sandbox")
    program = [sys.executable, "-m", "services.sandbox.template", str(settings.templates_dir)]
    running = await asyncio.create_subprocess_exec(
        *program, env=dict(sandbox.env), stdout=PIPE, stderr=STDOUT
    )
    said, _ = await running.communicate()
    for line in said.decode(errors="replace").splitlines():
        say("template", line)
    if running.returncode:
        raise BadSetting("the sandboxes' template can't be written: the last line above says why")
