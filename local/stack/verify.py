"""``make verify-e2b``: the connection test against E2B, or against an engine started for it where no key is set."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace

from kit.testing import free_port
from local.stack.child import BadSetting
from local.stack.console import fail, log_file
from local.stack.plan import Process, plan
from local.stack.settings import StackSettings
from local.stack.supervisor import NotReady, Supervisor
from local.stack.template import write_template

_NO_URLS = {"projects": "", "sandbox": "", "generation": ""}


async def verify(settings: StackSettings, environment: dict[str, str]) -> int:
    """The connection test's exit code."""
    # An engine of our own beside one that may be running already.
    settings = settings.model_copy(update={"local_sandboxes_port": free_port()})
    processes = {p.name: p for p in plan(settings, environment, _NO_URLS, settings.data_dir)}
    engines = [processes["sandboxes"]] if settings.local_engine else []
    folder = settings.data_dir / "verify"
    engines = [replace(e, env={**e.env, "LOCAL_SANDBOXES_DATA_DIR": str(folder)}) for e in engines]
    say = log_file(settings.data_dir / "logs" / "verify.log")
    supervisor = Supervisor(engines, say)
    try:
        if engines:
            print("no E2B_API_KEY is set: testing the local engine", flush=True)
            await write_template(settings, list(processes.values()), say)
            await supervisor.start()
        return await _run(processes["sandbox"])
    except (BadSetting, NotReady) as exc:
        fail([(settings.data_dir / "logs" / "verify.log").read_text().rstrip(), str(exc)])
        return 2
    finally:
        await supervisor.stop()


async def _run(sandbox: Process) -> int:
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.sandbox.verify", env=dict(sandbox.env)
    )
    return await running.wait()
