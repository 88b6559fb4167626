"""What agents at work at once may spend."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from services.generation.model import Job, Status, Tokens
from services.generation.prices import price_book
from services.generation.repository import TurnKey
from services.generation.worker.account import Account

# A dollar pays for 100,000 written tokens of this model.
MODEL = "claude-sonnet-5-5"
LEAST = 1_000


@pytest.fixture
def account() -> Account:
    made = datetime.now(UTC)
    job = Job("gen-1", "usr-1", "prj-1", "a page", MODEL, Status.RUNNING, made)
    return Account(job, price_book(), 1.0)


async def granted(account: Account, agent: str, dollars: str, most: int = 8_000) -> int:
    return await account.grant(agent, Decimal(dollars), Tokens(), most, LEAST)


def turn(account: Account, agent: str, written: int) -> None:
    account.begin(TurnKey(1, 1, 0, agent), Tokens())
    account.complete(agent, Tokens(written=written))


async def test_one_alone_may_spend_all_that_is_left(account: Account) -> None:
    assert await granted(account, "", "0.05") == 5_000
    turn(account, "", 4_500)
    assert await granted(account, "", "0.05") == 500


async def test_who_would_get_too_little_waits_for_what_others_do_not_need(account: Account) -> None:
    account.sharers = 2
    assert await granted(account, "a", "0.04", most=1_900) == 1_900
    # Of 4,000 tokens it may have 2,100, and leaves nobody else short; the third finds 200.
    assert await granted(account, "b", "0.04", most=1_900) == 1_900
    third = asyncio.create_task(granted(account, "c", "0.04", most=1_900))
    await asyncio.wait([third], timeout=0.01)
    assert not third.done()
    turn(account, "a", 900)
    assert await third == 1_200


async def test_with_too_little_left_for_anybody_nobody_waits(account: Account) -> None:
    account.sharers = 3
    for agent in "abc":
        assert await granted(account, agent, "0.005") == 500
