"""What turns cost."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from services.generation.model import Tokens
from services.generation.prices import price_book, read_prices, unlisted_price

MILLION = 1_000_000
DAY = date(2026, 11, 23)


@pytest.mark.parametrize(
    ("model", "tokens", "dollars"),
    [
        ("claude-sonnet-5-5", Tokens(read=MILLION), "2"),
        ("claude-sonnet-5-5", Tokens(written=MILLION), "10"),
        ("claude-sonnet-5-5-20261101", Tokens(written=MILLION), "10"),
        ("claude-opus-5-5", Tokens(cache_read=MILLION), "0.4"),
        ("claude-opus-5-5", Tokens(cache_write_5m=MILLION), "5"),
        ("claude-opus-5-5", Tokens(cache_write_1h=MILLION), "8"),
        ("claude-haiku-5-5", Tokens(read=100_000), "0.01"),
        ("claude-haiku-5-5", Tokens(read=100_001, written=100), "0.0502505"),
        ("claude-sonnet-5-5", Tokens(read=MILLION, geography="local"), "0"),
        ("sandwright-composer-1", Tokens(read=MILLION, written=MILLION), "0"),
    ],
)
def test_a_turn_costs_what_the_list_says(model: str, tokens: Tokens, dollars: str) -> None:
    assert price_book().on(DAY).cost(model, tokens) == Decimal(dollars)


def test_the_price_of_an_unknown_model_is_unknown() -> None:
    assert price_book().on(DAY).cost("somebody-s-model", Tokens(read=1)) is None
    assert price_book().on(DAY).cost("claude-sonnet-5-5-mini", Tokens(read=1)) is None
    assert price_book().on(DAY).affordable("somebody-s-model", Decimal(1), Tokens()) is None


def test_a_model_that_is_not_in_the_list_may_have_a_rate_which_is_a_guess_or_be_free() -> None:
    rated = price_book(unlisted_price("3/15.5")).on(DAY)
    assert rated.cost("somebody-s-model", Tokens(read=MILLION, written=MILLION)) == Decimal("18.5")
    assert rated.affordable("somebody-s-model", Decimal("15.5"), Tokens()) == MILLION
    assert rated.guessed("somebody-s-model")
    assert not rated.guessed("claude-opus-5-5")
    free = price_book(unlisted_price("free")).on(DAY)
    assert free.cost("somebody-s-model", Tokens(read=MILLION)) == 0
    assert not free.guessed("somebody-s-model")
    assert unlisted_price("refuse") is None


def test_what_is_affordable_does_not_cost_more_than_there_is() -> None:
    prices, prompt, budget = price_book().on(DAY), Tokens(read=10_000), Decimal("0.05")
    most = prices.affordable("claude-sonnet-5-5", budget, prompt)
    assert most == 3_000
    assert prices.affordable("claude-sonnet-5-5", Decimal("0.01"), prompt) == 0
    assert prices.affordable("sandwright-composer-1", budget, prompt) is None


# Worked by hand: 10,000 read, 20,000 from the cache, 4,000 and 2,000 into it (five minutes, an hour), 3,000 written.
WORKED = {
    # (10,000 + 2,000 + 5,000 + 4,000) x 0.10 + 3,000 x 0.50 = 2,100 + 1,500
    "claude-haiku-5-5": "0.0036",
    # 21,000 x 2 + 3,000 x 10 = 42,000 + 30,000
    "claude-sonnet-5-5": "0.072",
    # 21,000 x 4 + 3,000 x 20 = 84,000 + 60,000
    "claude-opus-5-5": "0.144",
    # 21,000 x 10 + 3,000 x 50 = 210,000 + 150,000
    "claude-fable-5-1": "0.36",
    "sandwright-composer-1": "0",
}


def test_every_model_of_the_list_costs_what_was_worked_by_hand() -> None:
    tokens = Tokens(10_000, 3_000, 20_000, 4_000, 2_000)
    prices = price_book().on(DAY)
    assert {model: prices.cost(model, tokens) for model in prices.models} == {
        model: Decimal(dollars) for model, dollars in WORKED.items()
    }


@pytest.mark.parametrize(
    "name",
    [
        "anthropic.claude-opus-5-5-v1:0",
        "eu.anthropic.claude-opus-5-5-20261101-v1:0",
        "claude-opus-5-5@20261101",
        "claude-opus-5-5@latest",
    ],
)
def test_a_cloud_s_name_for_a_model_costs_what_the_model_costs(name: str) -> None:
    assert price_book().on(DAY).cost(name, Tokens(written=MILLION)) == 20


TWO = """
[[list]]
from = 2026-12-01
cache = {read = 0.1, write_5m = 1.25, write_1h = 2.0}
geography = {}
model = [{name = "m", input = 3, output = 9}]
[[list]]
from = 2026-11-01
cache = {read = 0.1, write_5m = 1.25, write_1h = 2.0}
geography = {}
model = [{name = "m", input = 1, output = 2}]
"""


@pytest.mark.parametrize(
    ("day", "dollars"),
    [
        (date(2025, 1, 1), 2),
        (date(2026, 11, 1), 2),
        (date(2026, 11, 30), 2),
        (date(2026, 12, 1), 9),
        (date(2030, 1, 1), 9),
    ],
    ids=str,
)
def test_the_day_decides_which_list_counts(day: date, dollars: int) -> None:
    assert read_prices(TWO).on(day).cost("m", Tokens(written=MILLION)) == dollars


def test_shown_prices_have_the_cache_s_worked_out() -> None:
    shown = price_book().on(DAY).shown("claude-haiku-5-5")
    assert shown
    assert (shown.input, shown.output) == (Decimal("0.1"), Decimal("0.5"))
    assert (shown.cache_read, shown.cache_write) == (Decimal("0.01"), Decimal("0.125"))
    assert shown.long_prompt_tokens == 100_000
    assert shown.long_prompt_factor == 5
    assert price_book().on(DAY).shown("nobody-s") is None
