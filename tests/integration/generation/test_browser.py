"""Pages are loaded in a real Chromium: what their scripts say counts, and they reach nothing."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from local.model.composer.brief import KINDS, Brief
from local.model.composer.compose import compose
from services.generation.browsing.browser import Browser, find_browser, jailed
from services.generation.browsing.pages import MOST_PAGES, unsaid, worth_loading
from services.generation.model import Finding
from tests.fixtures.generation import World
from tests.fixtures.history import kinds
from tests.fixtures.scripted_model import Answer, done

Files = Mapping[str, bytes | None]


@pytest.fixture(scope="module")
def browser() -> Browser:
    found = find_browser("", 90)
    assert found, "Chromium and bubblewrap are installed for the tests"
    return found


async def found_in(
    browser: Browser, after: Files, before: Files | None = None
) -> list[tuple[str, str, int]]:
    pages = worth_loading(after, set(after))
    found = await browser.blamed(before or {}, after, pages)
    return [(one.path, one.rule, one.line) for one in found]


def page(script: str) -> bytes:
    return f"<!doctype html>\n<title>t</title>\n<script>{script}</script>".encode()


async def test_what_goes_wrong_is_told_with_its_place(browser: Browser) -> None:
    files = {
        "index.html": page("console.error('no good');\nsetTimeout(() => later.on, 1);"),
        "about/index.html": b"<script src='../js/a.js'></script><script type='module' src=/m.js></script>",
        "js/a.js": b"\n\nundefined.x;\n",
        "m.js": b"fetch('/data.json').then((found) => found.json()).catch(() => 1);",
        "fine.html": page("console.log('hello'); console.warn('careful')"),
    }
    assert await found_in(browser, files) == [
        ("index.html", "console-error", 3),
        ("index.html", "script-error", 4),
        ("js/a.js", "script-error", 3),
        ("about/index.html", "missing-at-run-time", 0),
    ]


async def test_only_what_is_new_is_blamed_on_a_change(browser: Browser) -> None:
    before = {"index.html": page("old.fault"), "js/a.js": b""}
    after = {"index.html": page("\n\nold.fault") + page("young.fault"), "js/a.js": b"1"}
    found = await browser.blamed(before, after, ["index.html"])
    assert [one.message for one in found] == ["ReferenceError: young is not defined"]


async def test_what_needs_another_host_can_not_be_judged(browser: Browser) -> None:
    outside = b"<script src='https://cdn.example/lib.js'></script><script>lib.use()</script>"
    font = b"<link rel=stylesheet href='https://fonts.example/a.css'><script>gone()</script>"
    unread = b"<script src='large.js'></script><script>large()</script>"
    pages: Files = {"a.html": outside, "b.html": font, "c.html": unread, "large.js": None}
    assert await found_in(browser, pages) == [("b.html", "script-error", 1)]


RESTLESS = {
    "an endless loop": "for (;;);",
    "a question": "alert(1); confirm(2); prompt(3); print();",
    "windows": "for (let i = 0; i < 20; i++) open('/index.html?' + i);",
    "a large memory": "const held = []; for (;;) held.push(new Uint8Array(1e8).fill(1));",
    "a download": "const a = document.createElement('a'); a.href = 'data:,x'; a.download = 'x'; a.click();",
    "going away": "location.href = 'http://127.0.0.1:1/';",
    "a file of the host": "location.href = 'file:///etc/passwd';",
}


async def test_pages_that_do_not_rest_keep_no_other_from_being_looked_at(browser: Browser) -> None:
    restless = {f"{name}.html": page(script) for name, script in RESTLESS.items()}
    files = {**restless, "other.html": page("known.fault")}
    found = await browser.blamed({}, files, [*restless, "other.html"])
    assert ("other.html", "script-error") in [(one.path, one.rule) for one in found]


async def test_a_page_reaches_no_socket_of_this_machine(browser: Browser) -> None:
    met: list[bytes] = []

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        met.append(await reader.read(100))
        writer.close()

    server = await asyncio.start_server(meet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    here = f"127.0.0.1:{port}"
    script = f"""
      fetch('http://{here}/', {{mode: 'no-cors'}}).catch(() => 1);
      new WebSocket('ws://{here}/').onerror = () => 1;
      navigator.sendBeacon('http://{here}/', 'x');
      new Image().src = 'http://{here}/x.png';
      const frame = document.createElement('iframe'); frame.src = 'http://{here}/';
      document.documentElement.append(frame);
      new RTCPeerConnection({{iceServers: [{{urls: 'turn:{here}?transport=tcp', username: 'a', credential: 'b'}}]}})
        .createDataChannel('x');
    """
    async with server:
        await browser.blamed({}, {"index.html": page(script)}, ["index.html"])
    assert met == []


async def test_the_jail_holds_none_of_our_files_and_variables(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "not-to-be-seen")
    look = "import os; print(os.listdir('/'), os.listdir('/etc'), os.environ, os.getuid())"
    command = [*jailed(browser.jail, Path(os.devnull))[:-2], "-c", look]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env={})
    said = (await process.communicate())[0].decode()
    assert "not-to-be-seen" not in said
    assert "shadow" not in said
    assert said.strip().endswith("65534")


async def test_the_composer_s_sites_say_nothing(browser: Browser) -> None:
    files: dict[str, bytes | None] = {
        f"{kind}/{path}": text.encode()
        for kind in KINDS
        for path, text in compose(Brief(kind)).files.items()
    }
    assert await browser.blamed({}, files, [f"{kind}/index.html" for kind in KINDS]) == []


async def test_what_a_browser_finds_goes_back_to_the_model_and_is_repaired(world: World) -> None:
    await world.replicas.pop().stop()
    await world.replica(browser="", repair_rounds=1, browser_seconds=60)
    start = (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>A page</title></head>"
        "<body><main><h1>A page</h1></main><script>"
    )
    world.model.script = [
        Answer()
        .write("index.html", f"{start}missing.call();</script></body></html>")
        .stop("tool_use"),
        done(),
        Answer().write("index.html", f"{start}1;</script></body></html>").stop("tool_use"),
        done(),
    ]
    person = await world.user()
    events = await person.checked(await person.start())
    assert kinds(events)[-1] == "succeeded"
    checks = [event.check for event in events if event.WhichOneof("event") == "check"]
    assert [one.rule for one in checks[0].findings] == ["script-error"]
    assert checks[0].findings[0].message == "ReferenceError: missing is not defined"
    assert len(checks[-1].findings) == 0


async def test_a_browser_that_does_not_run_is_no_finding(browser: Browser) -> None:
    broken = Browser("/bin/false", browser.jail, 30)
    with capture_logs() as logs:
        assert await broken.blamed({}, {"index.html": page("x.y")}, ["index.html"]) == []
    assert [log["event"] for log in logs] == ["pages not loaded"]


async def test_one_that_takes_too_long_is_given_up_with_what_it_has_found(browser: Browser) -> None:
    short = Browser(browser.chromium, browser.jail, 0.05)
    assert await short.blamed({}, {"index.html": page("x.y")}, ["index.html"]) == []


@pytest.mark.parametrize("name", ["off", "no-such-browser"])
def test_without_a_browser_pages_are_not_loaded(name: str) -> None:
    assert find_browser(name, 1) is None


def test_the_first_page_and_changed_ones_come_first() -> None:
    files: Files = dict.fromkeys([f"p{n}.html" for n in range(9)], b"") | {
        "index.html": b"",
        "site.css": b"",
        "large.html": None,
    }
    assert worth_loading(files, {"p7.html"}) == ["p7.html"]
    assert worth_loading(files, {"p7.html", "site.css"})[:3] == ["index.html", "p7.html", "p0.html"]
    assert len(worth_loading(files, {"site.css"})) == MOST_PAGES
    assert worth_loading(files, {"large.html", "logo.png"}) == []


def test_a_syntax_error_is_told_once() -> None:
    said = [Finding("a.js", "script-syntax", "Unexpected end.", 3)]
    seen = [Finding("a.js", "script-error", "SyntaxError: x"), Finding("b.js", "script-error", "y")]
    assert unsaid(seen, said) == seen[1:]
