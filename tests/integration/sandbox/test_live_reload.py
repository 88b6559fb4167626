"""Pages that show a project follow its files, in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Page, Route, expect

from kit.testing import free_port
from tests.unit.sandbox.preview import Preview, running

pytestmark = pytest.mark.asyncio(loop_scope="session")
LONG = "<div style='height: 5000px'></div>"


def site(preview: Preview, heading: str) -> None:
    links = "<link rel=icon href=data:,><link rel=stylesheet href=css/site.css>"
    html = f"<!doctype html><title>t</title>{links}<h1>{heading}</h1>{LONG}"
    preview.put("index.html", html.encode())


async def test_a_first_page_appears_where_there_was_none(preview: Preview, page: Page) -> None:
    await page.goto(preview.url)
    await page.get_by_role("heading", name="Nothing here yet").wait_for()
    preview.put("css/site.css", b"h1 { color: rgb(1, 2, 3) }")
    site(preview, "Bakery")
    await page.get_by_role("heading", name="Bakery").wait_for()


async def test_a_changed_page_reloads_where_it_was_scrolled_to(
    preview: Preview, page: Page
) -> None:
    preview.put("css/site.css", b"h1 { color: rgb(1, 2, 3) }")
    site(preview, "One")
    async with page.expect_request("**/__sandwright/events"):
        await page.goto(preview.url)
    await page.evaluate("scrollTo(0, 1200)")
    site(preview, "Two")
    await page.locator("h1", has_text="Two").wait_for(state="attached")
    await page.wait_for_function("scrollY === 1200")


async def test_a_changed_style_sheet_is_swapped_without_a_reload(
    preview: Preview, page: Page
) -> None:
    preview.put("css/site.css", b"h1 { color: rgb(1, 2, 3) }")
    site(preview, "One")
    async with page.expect_response("**/__sandwright/events"):
        await page.goto(preview.url)
    await page.evaluate("window.stillHere = true")
    preview.put("css/site.css", b"h1 { color: rgb(4, 5, 6) }")
    await page.wait_for_function(
        "getComputedStyle(document.querySelector('h1')).color === 'rgb(4, 5, 6)'"
    )
    preview.put("css/site.css", b"h1 { color: rgb(7, 8, 9) }")
    await page.wait_for_function(
        "getComputedStyle(document.querySelector('h1')).color === 'rgb(7, 8, 9)'"
    )
    await page.wait_for_function("document.querySelectorAll('link[rel=stylesheet]').length === 1")
    assert await page.evaluate("window.stillHere") is True


async def test_what_changes_before_the_page_listens_is_not_missed(
    preview: Preview, page: Page
) -> None:
    preview.put("css/site.css", b"")
    site(preview, "One")

    async def late(route: Route) -> None:
        site(preview, "Two")
        await route.continue_()

    await page.route("**/__sandwright/events", late, times=1)
    await page.goto(preview.url)
    await page.locator("h1", has_text="Two").wait_for(state="attached")


HEADING = "getComputedStyle(document.querySelector('h1'))"


async def opened(preview: Preview, page: Page, path: str = "/") -> None:
    """Opens a page, and marks it when it listens: a reload takes the mark away."""
    async with page.expect_response("**/__sandwright/events"):
        await page.goto(preview.url + path)
    await page.evaluate("window.stillHere = true")


async def loads(page: Page) -> int:
    """How often this page was loaded, counted by itself."""
    return int(await page.evaluate("Number(sessionStorage.loads)"))


async def test_the_page_is_as_its_author_wrote_it(preview: Preview, page: Page) -> None:
    site(preview, "One")
    preview.put("css/site.css", b"")
    await opened(preview, page)
    assert await page.evaluate("document.scripts.length") == 0
    assert await page.evaluate("document.head.firstElementChild.localName") == "title"


async def test_an_imported_sheet_is_swapped_and_one_that_nobody_uses_changes_nothing(
    preview: Preview, page: Page
) -> None:
    preview.put("css/site.css", b"@import 'base.css';")
    preview.put("css/base.css", b"h1 { color: rgb(1, 2, 3) }")
    preview.put("about.html", b"<p>about")
    site(preview, "One")
    await opened(preview, page)
    preview.put("css/unused.css", b"h1 { color: red }")
    preview.put("about.html", b"<p>about us")
    preview.put("css/base.css", b"h1 { color: rgb(4, 5, 6) }")
    await page.wait_for_function(f"{HEADING}.color === 'rgb(4, 5, 6)'")
    assert await page.evaluate("window.stillHere") is True


async def test_a_changed_script_reloads_the_page(preview: Preview, page: Page) -> None:
    preview.put("app.js", b"document.querySelector('h1').textContent = 'first'")
    preview.put("index.html", b"<link rel=icon href=data:,><h1></h1><script src=app.js></script>")
    await opened(preview, page)
    preview.put("app.js", b"document.querySelector('h1').textContent = 'second'")
    await page.locator("h1", has_text="second").wait_for()


async def test_many_files_that_change_at_once_are_hardly_more_than_one_reload(
    preview: Preview, page: Page
) -> None:
    count = b"<script>sessionStorage.loads = 1 + Number(sessionStorage.loads ?? 0)</script>"
    icon = b"<link rel=icon href=data:,>"
    preview.put("index.html", icon + count + b"<h1>One</h1>")
    await opened(preview, page)
    for number in range(60):
        preview.put(f"js/{number}.js", b"//")
    preview.put("index.html", icon + count + b"<h1>Two</h1>")
    await page.locator("h1", has_text="Two").wait_for()
    # One, or a few where this machine takes longer to write them than the preview waits for more.
    assert await loads(page) < 10


async def test_a_page_comes_back_to_a_server_that_was_away(tmp_path: Path, page: Page) -> None:
    port = free_port()
    with running(tmp_path, port) as preview:
        preview.put("css/site.css", b"h1 { color: rgb(1, 2, 3) }")
        site(preview, "One")
        await opened(preview, page)

    async def away(route: Route) -> None:
        # As the proxy in front of a sandbox answers for a server that is still starting.
        await route.fulfill(status=502, content_type="application/json", body="{}")

    async with page.expect_response(lambda answer: answer.status == 502):
        await page.route("**/__sandwright/events", away, times=2)
    with running(tmp_path, port) as preview:
        async with page.expect_response(
            lambda answer: answer.url.endswith("/events") and answer.status == 200
        ):
            pass
        # Nothing changed meanwhile, so nothing was loaded again.
        assert await page.evaluate("window.stillHere") is True
        site(preview, "Two")
        await page.locator("h1", has_text="Two").wait_for(state="attached")


async def test_a_policy_that_allows_only_the_pages_own_is_no_obstacle(
    preview: Preview, page: Page
) -> None:
    policy = "default-src 'self'; img-src data:; object-src 'none'"
    head = (
        f'<meta http-equiv=Content-Security-Policy content="{policy}"><link rel=icon href=data:,>'
    )
    preview.put("css/site.css", b"h1 { color: rgb(1, 2, 3) }")
    html = head + "<link rel=stylesheet href=css/site.css><h1>One</h1>"
    preview.put("index.html", html.encode())
    await opened(preview, page)
    preview.draft("index.html", html.replace("One", "Draft").encode())
    await page.locator("h1", has_text="Draft").wait_for()
    preview.put("css/site.css", b"h1 { color: rgb(4, 5, 6) }")
    # Asked for by its name: the policy also forbids what wait_for_function does.
    await expect(page.locator("h1")).to_have_css("color", "rgb(4, 5, 6)")
    preview.put("index.html", html.replace("One", "Two").encode())
    await page.locator("h1", has_text="Two").wait_for()


async def test_what_a_link_downloads_is_the_file_itself(preview: Preview, page: Page) -> None:
    preview.put("data.html", b"<p>exactly this")
    preview.put("index.html", b"<link rel=icon href=data:,><a href=data.html download>get</a>")
    await page.goto(preview.url)
    async with page.expect_download() as started:
        await page.get_by_text("get").click()
    path = await (await started.value).path()
    assert path.read_bytes() == b"<p>exactly this"


async def test_a_policy_that_allows_nothing_holds_only_for_the_page_itself(
    preview: Preview, page: Page
) -> None:
    head = "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; img-src data:\">"
    html = f"{head}<link rel=icon href=data:,><h1>One</h1>"
    preview.put("index.html", html.encode())
    await opened(preview, page)
    preview.put("index.html", html.replace("One", "Two").encode())
    await page.locator("h1", has_text="Two").wait_for()
