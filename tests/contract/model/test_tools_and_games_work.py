"""Tools and games, used as a visitor uses them."""

import re
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from local.model.composer.site import Site

pytestmark = pytest.mark.asyncio(loop_scope="session")
Serve = Callable[[str], tuple[Site, str]]


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> AsyncIterator[Page]:
    context = await browser.new_context(reduced_motion="reduce")
    yield await context.new_page()
    await context.close()


async def test_a_task_is_added_ticked_off_and_remembered(page: Page, serve_site: Serve) -> None:
    _, address = serve_site("a to-do list")
    await page.goto(f"{address}/index.html")
    await page.get_by_label("New task").fill("Buy <b>flour</b>")
    await page.keyboard.press("Enter")
    await page.get_by_label("Buy <b>flour</b>", exact=True).check()
    await expect(page.get_by_role("status")).to_have_text("2 tasks left")
    await page.reload()
    await expect(page.get_by_label("Buy <b>flour</b>", exact=True)).to_be_checked()
    await page.get_by_role("button", name="Clear done").click()
    await expect(page.get_by_role("listitem")).to_have_count(2)


@pytest.mark.parametrize(
    ("keys", "result"),
    [
        ("7*8=", "56"),
        ("0.1+0.2=", "0.3"),
        ("2+3*4=", "20"),
        ("9/0=", "Not a number"),
        ("5-8=", "−3"),
        ("200+10%=", "220"),
        ("12", "12"),
    ],
)
async def test_the_calculator_reckons_by_keyboard(
    page: Page, serve_site: Serve, keys: str, result: str
) -> None:
    _, address = serve_site("a calculator")
    await page.goto(f"{address}/index.html")
    for key in keys:
        await page.keyboard.press(key)
    await expect(page.get_by_label("Result")).to_have_text(result)


async def test_the_calculator_reckons_by_mouse(page: Page, serve_site: Serve) -> None:
    _, address = serve_site("a calculator")
    await page.goto(f"{address}/index.html")
    for name in ("9", "Multiply", "9", "Equals"):
        await page.get_by_role("button", name=name, exact=True).click()
    await expect(page.get_by_label("Result")).to_have_text("81")


async def test_the_converter_keeps_both_sides_in_step(page: Page, serve_site: Serve) -> None:
    _, address = serve_site("a unit converter")
    await page.goto(f"{address}/index.html")
    await page.get_by_role("button", name="Temperature").click()
    await page.get_by_label("From", exact=True).fill("100")
    await expect(page.get_by_label("To", exact=True)).to_have_value("212")
    await page.get_by_label("To", exact=True).fill("32")
    await expect(page.get_by_label("From", exact=True)).to_have_value("0")


async def test_the_timer_counts_down_and_pauses(page: Page, serve_site: Serve) -> None:
    _, address = serve_site("a pomodoro timer")
    await page.clock.install()
    await page.goto(f"{address}/index.html")
    await page.get_by_role("button", name="Start").click()
    await page.clock.run_for(61_000)
    # The page's clock also runs by itself: how many seconds have passed depends on the machine.
    await expect(page.get_by_role("timer")).to_have_text(re.compile(r"23:[3-5]\d"))
    await page.get_by_role("button", name="Pause").click()
    shown = await page.get_by_role("timer").inner_text()
    await page.clock.run_for(60_000)
    await expect(page.get_by_role("timer")).to_have_text(shown)


async def test_the_snake_runs_into_the_wall(page: Page, serve_site: Serve) -> None:
    _, address = serve_site("a snake game")
    await page.clock.install()
    await page.goto(f"{address}/index.html")
    await page.get_by_role("button", name="Play").click()
    await expect(page.get_by_role("button", name="Play")).to_be_hidden()
    await page.keyboard.press("ArrowUp")
    await page.clock.run_for(5_000)
    await expect(page.get_by_role("status")).to_contain_text("Again?")


async def test_all_pairs_of_the_memory_can_be_found(page: Page, serve_site: Serve) -> None:
    _, address = serve_site("a memory game")
    await page.goto(f"{address}/index.html")
    names = await page.locator(".cards button").evaluate_all(
        "cards => cards.map(card => card.dataset.name)"
    )
    for name in sorted(set(names)):
        for card in await page.locator(f'[data-name="{name}"]').all():
            await card.click()
    await expect(page.get_by_role("status")).to_contain_text("All eight pairs in 8 moves")


async def test_the_perfect_machine_never_loses(page: Page, serve_site: Serve) -> None:
    _, address = serve_site("tic tac toe")
    await page.clock.install()
    await page.goto(f"{address}/index.html")
    await page.get_by_label("Machine").select_option("hard")
    for _ in range(3):
        while await page.get_by_role("status").inner_text() in (
            "Your move.",
            "The machine thinks…",
        ):
            await page.clock.run_for(500)
            free = page.get_by_role("button", name=", free").first
            if await free.count():
                await free.click()
            await page.clock.run_for(500)
        await page.get_by_role("button", name="New game").click()
    await expect(page.locator("[data-you]")).to_have_text("0")


async def test_the_ball_breaks_bricks(page: Page, serve_site: Serve) -> None:
    _, address = serve_site("a breakout game")
    await page.goto(f"{address}/index.html")
    await page.get_by_role("button", name="Play").click()
    await expect(page.locator("[data-score]")).not_to_have_text("0", timeout=15_000)
