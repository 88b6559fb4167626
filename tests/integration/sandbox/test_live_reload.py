"""Pages that show a project follow its files, in a real browser."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route

from tests.unit.sandbox.preview import Preview, running

pytestmark = pytest.mark.asyncio(loop_scope="session")
LONG = "<div style='height: 5000px'></div>"


@pytest.fixture
def preview(tmp_path: Path) -> Iterator[Preview]:
    with running(tmp_path) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> AsyncIterator[Page]:
    context = await browser.new_context()
    page = await context.new_page()
    problems: list[str] = []
    page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    yield page
    await context.close()
    assert problems == []


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
