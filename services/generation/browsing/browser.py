"""Pages are loaded in a jail of their own: what a model writes gets no network, no file of ours and no secret."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import sys
import sysconfig
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import structlog

from services.generation.checks.site import Files
from services.generation.model import Finding

_log = structlog.get_logger(__name__)
OFF = "off"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_PAGE_SECONDS = 5.0
_DISK_BYTES = 256 * 1024 * 1024
_MOST_LINE_BYTES = 256 * 1024
_MOST_MESSAGE = 300
_RULES = frozenset({"script-error", "console-error", "missing-at-run-time"})
_INSIDE = Path(__file__).with_name("inside.py")
# What programs need of a Debian or Ubuntu besides /usr; nothing that holds a password or a key.
_SYSTEM = ("/bin", "/sbin", "/lib", "/lib64", "/opt/google")
_SETTINGS = ("/etc/alternatives", "/etc/chromium", "/etc/chromium.d", "/etc/fonts")


def find_browser(chromium: str, seconds: float) -> Browser | None:
    """This machine's browser, or the one named; ``None`` where there is none or it can't be jailed, as the log says."""
    if chromium == OFF:
        return None
    path = shutil.which(chromium) if chromium else next(filter(None, map(shutil.which, _NAMES)), "")
    jail = shutil.which("bwrap")
    missing = [
        name
        for name, there in (
            (chromium or "chromium", path),
            ("bubblewrap", jail),
            ("playwright", find_spec("playwright")),
        )
        if not there
    ]
    if missing or not path or not jail:
        _log.info("pages are not loaded in a browser", missing=missing)
        return None
    return Browser(path, jail, seconds)


class Browser:
    """One check at a time, each with a browser that has seen nothing else."""

    def __init__(self, chromium: str, jail: str, seconds: float) -> None:
        """A check that takes longer than ``seconds``, or waits so long for others, is given up."""
        self.chromium = chromium
        self.jail = jail
        self._seconds = seconds
        self._turn = asyncio.Lock()

    async def blamed(self, before: Files, after: Files, pages: Sequence[str]) -> list[Finding]:
        """What goes wrong in these pages of ``after`` and did not in ``before``, as far as that can be found out."""
        request = {
            "chromium": self.chromium,
            "page_seconds": min(_PAGE_SECONDS, self._seconds),
            "pages": list(pages),
            "before": _encoded(before),
            "after": _encoded(after),
        }
        found: list[Finding] = []
        try:
            async with asyncio.timeout(self._seconds):
                await self._turn.acquire()
        except TimeoutError:
            _log.warning("pages not loaded", pages=len(pages), error="others take too long")
            return found
        try:
            async with asyncio.timeout(self._seconds):
                await self._load(json.dumps(request).encode(), found, after)
        except Exception as exc:  # noqa: BLE001 - whatever the browser does: work is not lost for want of a check
            _log.warning("pages not loaded", pages=len(pages), error=type(exc).__name__)
        finally:
            self._turn.release()
        return found

    async def _load(self, request: bytes, found: list[Finding], files: Files) -> None:
        """Adds to ``found`` page by page: what was found before time was over counts."""
        process = await asyncio.create_subprocess_exec(
            *jailed(self.jail, _INSIDE),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            limit=_MOST_LINE_BYTES,
            env={},
            start_new_session=True,
        )
        try:
            await self._talk(process, request, found, files)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def _talk(
        self, process: Process, request: bytes, found: list[Finding], files: Files
    ) -> None:
        assert process.stdin
        assert process.stdout
        process.stdin.write(request)
        await process.stdin.drain()
        process.stdin.close()
        async for line in process.stdout:
            found += _findings(json.loads(line), files)
        if await process.wait():
            raise RuntimeError("the browser did not run")


def jailed(jail: str, program: Path) -> list[str]:
    """The command that runs a Python program of this environment where there is nothing but programs to read."""
    python = {sys.prefix, sys.base_prefix, sysconfig.get_path("platlib")}
    shown = ["/usr", *sorted(python), str(program)]
    tried = [*_SYSTEM, *_SETTINGS, "/etc/ld.so.cache"]
    return [
        *(jail, "--unshare-all", "--unshare-user", "--uid", "65534", "--gid", "65534"),
        *("--cap-drop", "ALL", "--die-with-parent", "--new-session", "--clearenv"),
        *("--proc", "/proc", "--dev", "/dev", "--size", str(_DISK_BYTES), "--tmpfs", "/tmp"),  # noqa: S108 - the jail's own
        *(part for path in shown for part in ("--ro-bind", path, path)),
        *(part for path in tried for part in ("--ro-bind-try", path, path)),
        *("--chdir", "/tmp", "--setenv", "HOME", "/tmp", "--setenv", "PATH", "/usr/bin:/bin"),  # noqa: S108
        *(sys.executable, "-I", str(program)),
    ]


def _findings(given: Any, files: Files) -> list[Finding]:
    """What was said inside, taken for no more than it may be."""
    found = []
    for one in given:
        path, page, rule = one["path"], one["page"], one["rule"]
        if path not in files or page not in files or rule not in _RULES:
            continue
        where = "" if path == page else f" (when {page} is loaded)"
        message = f"{_plain(str(one['message']))}{where}"
        found.append(Finding(path, rule, message, max(0, int(one["line"]))))
    return found


def _plain(text: str) -> str:
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    cut = line if len(line) <= _MOST_MESSAGE else f"{line[: _MOST_MESSAGE - 1]}…"
    # Half a surrogate pair has no UTF-8.
    return cut.encode("utf-8", "replace").decode()


def _encoded(files: Mapping[str, bytes | None]) -> dict[str, str | None]:
    return {
        path: None if content is None else base64.b64encode(content).decode()
        for path, content in files.items()
    }
