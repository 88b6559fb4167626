"""Every kind of site, as a browser and as assistive technology see it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import axe_core_python
import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, Request, Response

from local.model.composer.site import Site

pytestmark = pytest.mark.asyncio(loop_scope="session")

AXE = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text()
EVERYWHERE = [(scheme, width) for scheme in ("light", "dark") for width in (320, 768, 1280)]
# Inner pages share the styles of the first: one look at each width and each scheme.
CROSSWISE = [("light", 320), ("dark", 1280)]
PROMPTS = {
    "shop on the street": "a landing page for a bakery in Lisbon",
    "craft": "a website for a dentist in Berlin, please use yellow",
    "product": "landing page for a SaaS that tracks invoices",
    "dark by wish": "a dark site for a barbershop called 'Ümlaut & Sons — since 1901'",
    "portfolio": "portfolio for Ana Silva, an illustrator in Porto",
    "blog": "a blog about urban gardening",
    "conference": "a conference about Rust in Vienna",
    "celebration": "a wedding website for Mia and Tom in Tuscany",
    "docs": "documentation for a CLI tool called flapper",
    "to-do list": "a todo app",
    "calculator": "a calculator",
    "converter": "a unit converter",
    "timer": "a pomodoro timer",
    "snake": "a snake game",
    "memory": "a memory game",
    "tic-tac-toe": "tic tac toe",
    "breakout": "a breakout game",
    "in German": "eine Seite für eine Zahnarztpraxis in Hamburg, auf Deutsch",
    "menu": "a restaurant menu in Lisbon in Portuguese",
    "shop": "an online shop called 'Äther & Co', in German",
    "resume": "a resume for Ana Silva",
    "gallery": "a photo gallery in Spanish",
    "course with pages": "a course in Vienna with a pricing page",
    "dashboard": "a dashboard in German",
    "injection": "a bakery called \"<script>alert('x')</script> & <b>Söhne</b> 🥐\" in Paris",
    "endless name": "a café called " + "Supercalifragilisticexpialidocious" * 3,
}
FIND_VIOLATIONS = """async () => (await axe.run({resultTypes: ["violations"]})).violations.map(
    (found) => `${found.id}: ${found.nodes.map((node) => node.html).join(' | ')}`)"""
OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


class Complaints(list[str]):
    """What a page must not do: console errors, exceptions, failed requests, calls to another host."""

    def watch(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.append(f"exception: {error}"))
        page.on("response", self._response)
        page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.append(f"console: {message.text}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith("http://127.0.0.1:"):
            self.append(f"asks another host: {request.url}")

    def _response(self, response: Response) -> None:
        if response.status >= 400:
            self.append(f"{response.status}: {response.url}")


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS.keys())
async def test_every_page_fits_keeps_to_itself_and_has_no_accessibility_violation(
    prompt: str, browser: Browser, serve_site: Callable[[str], tuple[Site, str]]
) -> None:
    site, address = serve_site(prompt)
    complaints = Complaints()
    context = await browser.new_context(reduced_motion="reduce")
    page = await context.new_page()
    complaints.watch(page)
    for path in _one_of_each(site):
        await page.goto(f"{address}/{path}")
        await page.evaluate(AXE)
        for scheme, width in EVERYWHERE if path == "index.html" else CROSSWISE:
            found = await _judge(page, scheme, width)
            assert found == [], f"{path} at {width} px, {scheme}"
    await context.close()
    assert complaints == []


def _one_of_each(site: Site) -> list[str]:
    """The pages at the top, and one of each folder: the others come from the same template."""
    pages = [path for path in site.files if path.endswith(".html")]
    deep: dict[str, str] = {}
    for path in pages:
        if "/" in path:
            deep.setdefault(path.rpartition("/")[0], path)
    return [path for path in pages if "/" not in path] + list(deep.values())


async def _judge(page: Page, scheme: Any, width: int) -> list[str]:
    await page.emulate_media(color_scheme=scheme)
    await page.set_viewport_size({"width": width, "height": 800})
    overflow = await page.evaluate(OVERFLOW)
    wide = [f"scrolls sideways by {overflow} px"] if overflow > 0 else []
    # Layout between the two outer widths is judged by eye; what axe finds does not depend on it.
    return wide + (await page.evaluate(FIND_VIOLATIONS) if width != 768 else [])


async def test_a_name_with_markup_is_shown_and_not_run(
    browser: Browser, serve_site: Callable[[str], tuple[Site, str]]
) -> None:
    site, address = serve_site(PROMPTS["injection"])
    context = await browser.new_context()
    page = await context.new_page()
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    await page.goto(f"{address}/index.html")
    assert await page.locator(".brand").inner_text() == site.name
    assert "<script>alert('x')</script>" in site.name
    assert dialogs == []
    await context.close()
