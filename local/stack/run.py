"""``make run``: starts everything, says where it is, stops everything on Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import suppress

from local.stack.child import BadSetting
from local.stack.console import fail, printer
from local.stack.quickstart import quickstart
from local.stack.settings import StackSettings
from local.stack.stack import PortsTaken, Stack
from local.stack.supervisor import NotReady


async def run(settings: StackSettings, environment: dict[str, str]) -> None:
    """Runs until SIGINT, SIGTERM or SIGHUP; a second one ends everything at once."""
    stack = Stack(settings, environment, printer(sys.stdout))
    asked = stop_signal(stack)
    begun = asyncio.get_running_loop().time()
    starting = asyncio.create_task(stack.start())
    if not await first(asked, starting):
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        return
    explained(starting)
    seconds = asyncio.get_running_loop().time() - begun
    print(quickstart(settings, seconds), flush=True)
    working = asyncio.create_task(stack.wait())
    try:
        if await first(asked, working):
            explained(working)
    finally:
        working.cancel()
        with suppress(OSError):
            print("stopping …", flush=True)
        await stack.stop()


def stop_signal(stack: Stack) -> asyncio.Event:
    """An event that the first signal to stop sets; the second one kills the stack."""
    asked = asyncio.Event()

    def ask() -> None:
        if asked.is_set():
            stack.kill()
        asked.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, ask)
    return asked


async def first(asked: asyncio.Event, work: asyncio.Task[None]) -> bool:
    """Whether the work ended before somebody asked to stop."""
    waiter = asyncio.create_task(asked.wait())
    await asyncio.wait([waiter, work], return_when=asyncio.FIRST_COMPLETED)
    waiter.cancel()
    return work.done()


def explained(work: asyncio.Task[None]) -> None:
    """Ends the process with a clear line where the work failed for a reason that people can mend."""
    try:
        work.result()
    except PortsTaken as exc:
        fail(exc.lines)
    except (BadSetting, NotReady) as exc:
        fail([str(exc)])
