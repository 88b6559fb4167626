"""A preview server and a page that shows it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page

from tests.unit.sandbox.preview import Preview, running


@pytest.fixture
def preview(tmp_path: Path) -> Iterator[Preview]:
    """A preview server by itself."""
    with running(tmp_path) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page of a browser, that must not complain. Servers that are away for a while are no complaint."""
    context = await browser.new_context()
    page = await context.new_page()
    problems: list[str] = []
    page.on("console", lambda said: problems.append(said.text) if _complains(said) else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    yield page
    await context.close()
    assert problems == []


def _complains(said: ConsoleMessage) -> bool:
    away = "502" in said.text or "net::ERR_" in said.text
    return said.type == "error" and not away
