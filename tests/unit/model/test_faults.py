"""Which requests fail follows from the rule and the seed."""

import pytest

from local.model import faults
from local.model.faults import Faults


def hits(text: str, seed: int = 0, requests: int = 400) -> list[int]:
    made = Faults(faults.rules(text), seed)
    return [n for n in range(1, requests + 1) if made.pick("", b"")]


def test_a_number_counts_from_the_first_and_a_slash_means_every() -> None:
    assert hits("cut:3") == [1, 2, 3]
    assert hits("cut:/100") == [100, 200, 300, 400]
    assert len(hits("stall")) == 400


def test_a_rate_is_met_about_and_the_same_for_the_same_seed() -> None:
    assert hits("529:0.1") == hits("529:0.1")
    assert hits("529:0.1") != hits("529:0.1", seed=1)
    assert 15 <= len(hits("529:0.1")) <= 70


def test_a_header_counts_each_body_apart() -> None:
    made = Faults()
    assert [made.pick("cut:1", body) for body in (b"a", b"b", b"a", b"b")] == ["cut", "cut", "", ""]


@pytest.mark.parametrize("text", ["fire", "cut:0", "cut:x", "529:2.5", "cut:/0", ":3"])
def test_what_is_no_fault_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no fault|at least 1"):
        faults.rules(text)
