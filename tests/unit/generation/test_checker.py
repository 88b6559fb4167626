"""The process that checks sites, and what becomes of a check where it is lost."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator

import pytest

from kit.testing import eventually
from services.generation.checks.process import Checker

PAGE = b'<!doctype html><html lang="en"><title>x</title><a href="gone.html">x</a></html>'


@pytest.fixture
async def checker() -> AsyncIterator[Checker]:
    made = Checker(20)
    yield made
    await made.close()


async def _rules(checker: Checker, page: bytes = PAGE) -> list[str] | None:
    found = await checker.blamed({}, {"index.html": page})
    return None if found is None else [one.rule for one in found]


async def test_a_process_that_was_lost_between_two_checks_is_started_again(
    checker: Checker,
) -> None:
    assert await _rules(checker) == ["broken-link"]
    process = checker._process
    assert process
    os.kill(process.pid, signal.SIGKILL)
    await eventually(lambda: process.returncode is not None)
    assert await _rules(checker) == ["broken-link"]


async def test_a_process_that_is_lost_in_the_middle_is_no_check_and_no_error(
    checker: Checker,
) -> None:
    assert await _rules(checker) == ["broken-link"]
    process = checker._process
    assert process
    os.kill(process.pid, signal.SIGSTOP)
    checker._seconds = 0.2
    assert await _rules(checker) is None
    checker._seconds = 20
    assert await _rules(checker) == ["broken-link"]


async def test_a_check_that_takes_too_long_is_left_out_and_the_next_one_works(
    checker: Checker,
) -> None:
    checker._seconds = 0.0
    assert await _rules(checker) is None
    checker._seconds = 20
    assert await _rules(checker) == ["broken-link"]


async def test_more_findings_than_anybody_reads_are_cut(checker: Checker) -> None:
    page = PAGE + b"".join(b'<a href="no%d.html">x</a>' % number for number in range(1_500))
    assert len(await _rules(checker, page) or ()) == 1_000
