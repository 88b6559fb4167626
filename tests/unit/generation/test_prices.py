"""What turns cost."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from services.generation.model import Tokens
from services.generation.prices import price_book

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


def test_what_is_affordable_does_not_cost_more_than_there_is() -> None:
    prices, prompt, budget = price_book().on(DAY), Tokens(read=10_000), Decimal("0.05")
    most = prices.affordable("claude-sonnet-5-5", budget, prompt)
    assert most == 3_000
    assert prices.affordable("claude-sonnet-5-5", Decimal("0.01"), prompt) == 0
    assert prices.affordable("sandwright-composer-1", budget, prompt) is None
