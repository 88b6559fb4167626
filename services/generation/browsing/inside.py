"""Loads pages in Chromium. Runs by itself in a jail without a network: a request on stdin, a line of JSON for each page
on stdout. It imports nothing of ours, so that nothing of ours has to be in the jail.
"""

from __future__ import annotations

import base64
import json
import mimetypes
import re
import resource
import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Error, Request, Route, sync_playwright

ORIGIN = "http://site.invalid"
"""Where the site seems to be; the name leads nowhere by its definition (RFC 2606)."""
_MEMORY_BYTES = 2 * 1024**3
"""Of each of the browser's processes."""
_SETTLE_MS = 300
_MOST_FINDINGS = 10
_ARGUMENTS = (
    "--disable-dev-shm-usage",
    "--disable-gpu",
    # There is no network in the jail. Should there be one after all, no name and no address leads to it.
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--proxy-server=http://127.0.0.1:9",
    "--proxy-bypass-list=<-loopback>",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--js-flags=--max-old-space-size=512",
)
# What scripts use: without it their errors are not their own.
_NEEDED = frozenset({"script", "fetch", "xhr", "eventsource", "websocket"})
_ASKED_BY_SCRIPT = frozenset({"fetch", "xhr"})
_PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
_PLACE = re.compile(rf"{re.escape(ORIGIN)}/([^\s)]*?):(\d+):\d+")
Files = Mapping[str, bytes | None]


def main() -> None:
    """Answers one request."""
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    request = json.load(sys.stdin)
    before, after = _decoded(request["before"]), _decoded(request["after"])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=request["chromium"],
            # The jail is its sandbox: without privileges it can't make one of its own.
            chromium_sandbox=False,
            args=list(_ARGUMENTS),
        )
        for page in request["pages"]:
            found = loaded(browser, after, page, request["page_seconds"])
            if found and before.get(page) is not None:
                # What was so before is not this change's.
                known = loaded(browser, before, page, request["page_seconds"])
                found = [one for one in found if _name(one) not in map(_name, known)]
            print(json.dumps(found), flush=True)


def loaded(browser: Browser, files: Files, path: str, seconds: float) -> list[dict[str, Any]]:
    """What goes wrong while a page is loaded. Nothing, where it can't be judged."""
    return _Visit(files, path).of(browser, seconds)


class _Visit:
    def __init__(self, files: Files, path: str) -> None:
        self._files = files
        self._path = path
        self._found: list[dict[str, Any]] = []
        self._judged = True

    def of(self, browser: Browser, seconds: float) -> list[dict[str, Any]]:
        context = browser.new_context(service_workers="block", accept_downloads=False)
        context.route("**/*", self._answer)
        context.route_web_socket("**/*", lambda socket: self._not_there(socket.close))
        page = context.new_page()
        context.on("page", lambda other: other.close())
        page.on("dialog", lambda dialog: dialog.dismiss())
        page.on("pageerror", self._failed)
        page.on("console", self._said)
        try:
            page.goto(f"{ORIGIN}/{quote(self._path)}", wait_until="load", timeout=seconds * 1000)
            page.wait_for_timeout(_SETTLE_MS)
            context.close()
        except Error:
            # It takes too long, or the browser gave it up. On a busy machine that says nothing. A page that never
            # rests can't be closed either: it ends with the browser.
            pass
        return self._found[:_MOST_FINDINGS] if self._judged else []

    def _answer(self, route: Route) -> None:
        url = urlsplit(route.request.url)
        if f"{url.scheme}://{url.netloc}" != ORIGIN:
            if route.request.resource_type in _NEEDED:
                self._judged = False
            route.abort()
            return
        path = self._file(unquote(url.path).lstrip("/"))
        if path is None:
            self._missing(route.request, url.path)
            route.fulfill(status=404, content_type="text/plain", body="")
            return
        kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
        content = self._files[path]
        if content is None and kind.startswith("image/"):
            kind, content = "image/gif", _PIXEL
        if content is None:
            self._not_there(route.abort)
            return
        text = kind.startswith("text/") or kind in {"application/json", "image/svg+xml"}
        route.fulfill(
            status=200, content_type=f"{kind}; charset=utf-8" if text else kind, body=content
        )

    def _not_there(self, end: Any) -> None:
        """We don't have what the page needs, so what comes of that is not its fault."""
        self._judged = False
        end()

    def _file(self, path: str) -> str | None:
        if path in self._files:
            return path
        page = f"{path.rstrip('/')}/index.html".lstrip("/")
        return page if page in self._files else None

    def _missing(self, request: Request, path: str) -> None:
        if request.resource_type in _ASKED_BY_SCRIPT:
            message = f"A script asks for {unquote(path)!r}, which is not there."
            self._note("missing-at-run-time", message, self._path, 0)

    def _failed(self, error: Error) -> None:
        place = _PLACE.search(error.stack or "")
        path, line = (unquote(place[1]), int(place[2])) if place else (self._path, 0)
        name = f"{error.name}: " if error.name else ""
        self._note("script-error", f"{name}{error.message}", path, line)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type != "error" or message.text.startswith("Failed to load resource"):
            # Which files are missing is found out without a browser.
            return
        place = message.location
        own = place["url"].startswith(f"{ORIGIN}/")
        path = unquote(urlsplit(place["url"]).path).lstrip("/") if own else self._path
        self._note("console-error", message.text, path, place["lineNumber"] + 1 if own else 0)

    def _note(self, rule: str, message: str, path: str, line: int) -> None:
        found = self._file(path) or self._path
        one = {"path": found, "rule": rule, "message": message, "line": line, "page": self._path}
        if len(self._found) < _MOST_FINDINGS and _name(one) not in map(_name, self._found):
            self._found.append(one)


def _name(finding: Mapping[str, Any]) -> tuple[Any, ...]:
    return finding["path"], finding["rule"], finding["message"]


def _decoded(given: Mapping[str, str | None]) -> Files:
    return {
        path: None if content is None else base64.b64decode(content)
        for path, content in given.items()
    }


if __name__ == "__main__":
    main()
