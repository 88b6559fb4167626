"""A page that is being written is painted while it is, in a real browser."""

from __future__ import annotations

import pytest
from playwright.async_api import Page

from tests.integration.sandbox.test_live_reload import opened
from tests.unit.sandbox.preview import Preview

pytestmark = pytest.mark.asyncio(loop_scope="session")
HEAD = "<!doctype html><html lang=en><head><title>t</title><link rel=icon href=data:,>"
SHEET = "<link rel=stylesheet href=css/site.css>"
LONG = "<div style='height: 5000px'></div>"


def site(preview: Preview, body: str) -> None:
    preview.put("css/site.css", b"h1 { color: rgb(1, 2, 3) }")
    preview.put("index.html", f"{HEAD}{SHEET}</head><body>{body}</body></html>".encode())


async def test_a_draft_grows_in_the_page_without_a_reload(preview: Preview, page: Page) -> None:
    site(preview, "<h1>Old</h1>")
    await opened(preview, page)
    text = f"{HEAD}{SHEET}</head><body><h1>New</h1><ul><li>one</li><li>two</li><li>three</li>"
    for end in ("<h1>New</h1>", "<li>one</li>", "<li>two</li>", "<li>three</li>"):
        cut = text.index(end) + len(end)
        preview.draft("index.html", text[:cut].encode())
        await page.wait_for_function("end => document.body.innerHTML.includes(end)", arg=end)
    assert await page.evaluate("window.stillHere") is True
    assert await page.locator("h1").inner_text() == "New"
    assert await page.locator("li").count() == 3
    preview.put("index.html", (text + "</ul></body></html>").encode())
    await page.wait_for_function("window.stillHere === undefined")


@pytest.mark.parametrize(
    "cut",
    [
        "<p cl",
        '<p class="a',
        "<!-- half a comm",
        "<script>let a = '",
        "<style>h1 {",
        "<textarea>x",
        "&am",
    ],
)
async def test_wherever_a_draft_is_cut_the_page_follows_the_next_one(
    preview: Preview, page: Page, cut: str
) -> None:
    preview.draft("index.html", f"{HEAD}</head><body><h1>Half</h1>{cut}".encode())
    await opened(preview, page)
    preview.draft("index.html", f"{HEAD}</head><body><h1>More</h1><p>text</p>".encode())
    await page.get_by_text("text").wait_for()
    site(preview, "<h1>Whole</h1>")
    await page.get_by_role("heading", name="Whole").wait_for()


async def test_the_first_draft_takes_the_place_of_the_empty_projects_page(
    preview: Preview, page: Page
) -> None:
    await page.goto(preview.url)
    await page.get_by_role("heading", name="Nothing here yet").wait_for()
    preview.draft("index.html", f"{HEAD}</head><body><h1>First</h1>".encode())
    await page.get_by_role("heading", name="First").wait_for()


async def test_a_draft_that_is_shorter_than_the_page_gives_its_place_back_when_it_has_grown(
    preview: Preview, page: Page
) -> None:
    site(preview, f"<h1>Old</h1>{LONG}")
    await opened(preview, page)
    await page.evaluate("scrollTo(0, 1500)")
    start = f"{HEAD}{SHEET}</head><body><h1>New</h1>"
    preview.draft("index.html", start.encode())
    await page.locator("h1", has_text="New").wait_for(state="attached")
    preview.draft("index.html", f"{start}{LONG}<p>end".encode())
    await page.wait_for_function("scrollY === 1500")
    assert await page.evaluate("window.stillHere") is True
    site(preview, f"<h1>Done</h1>{LONG}")
    await page.locator("h1", has_text="Done").wait_for(state="attached")
    await page.wait_for_function("scrollY === 1500")


async def test_a_draft_of_a_style_sheet_is_swapped_in_and_out(preview: Preview, page: Page) -> None:
    site(preview, "<h1>One</h1>")
    await opened(preview, page)
    color = "getComputedStyle(document.querySelector('h1')).color"
    place = preview.draft("css/site.css", b"h1 { color: rgb(4, 5, 6) }")
    await page.wait_for_function(f"{color} === 'rgb(4, 5, 6)'")
    place.unlink()
    await page.wait_for_function(f"{color} === 'rgb(1, 2, 3)'")
    assert await page.evaluate("window.stillHere") is True


async def test_sheets_stay_while_the_head_is_written_again(preview: Preview, page: Page) -> None:
    site(preview, "<h1>Old</h1>")
    await opened(preview, page)
    preview.draft("index.html", f"{HEAD}</head><body><h1>New</h1>".encode())
    await page.locator("h1", has_text="New").wait_for()
    color = await page.evaluate("getComputedStyle(document.querySelector('h1')).color")
    assert color == "rgb(1, 2, 3)"


async def test_scripts_of_a_draft_wait_until_it_is_written(preview: Preview, page: Page) -> None:
    site(preview, "<h1>Old</h1>")
    await opened(preview, page)
    body = "<h1>New</h1><script>document.title = 'ran'</script><p>after</p>"
    preview.draft("index.html", f"{HEAD}{SHEET}</head><body>{body}".encode())
    await page.get_by_text("after").wait_for()
    assert await page.title() == "t"
    site(preview, body)
    await page.wait_for_function("document.title === 'ran'")


async def test_a_discarded_draft_leaves_the_page_as_it_was(preview: Preview, page: Page) -> None:
    site(preview, "<h1>Old</h1>")
    await opened(preview, page)
    place = preview.draft("index.html", f"{HEAD}</head><body><h1>Half</h1>".encode())
    await page.get_by_role("heading", name="Half").wait_for()
    place.unlink()
    await page.get_by_role("heading", name="Old").wait_for()


async def test_a_burst_of_drafts_ends_with_the_last(preview: Preview, page: Page) -> None:
    site(preview, "<h1>0</h1>")
    await opened(preview, page)
    for number in range(1, 200):
        preview.draft("index.html", f"{HEAD}{SHEET}</head><body><h1>{number}</h1>".encode())
    await page.get_by_role("heading", name="199").wait_for()
    assert await page.evaluate("window.stillHere") is True
