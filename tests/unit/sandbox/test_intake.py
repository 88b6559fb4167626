"""Writes while they arrive."""

from __future__ import annotations

import pytest

from kit.errors import Invalid, QuotaExceeded
from services.sandbox.model import Content, Delete, Put, Rename
from services.sandbox.service.intake import Begin, End, Intake, Limits

LIMITS = Limits(file_bytes=10, write_bytes=15, write_steps=3)


def content(step: object) -> bytes:
    assert isinstance(step, Put)
    return step.content.piece(0, step.content.size)


def test_steps_come_out_in_order_with_their_content() -> None:
    with Intake(LIMITS) as intake:
        for message in (Begin("a", "f" * 64), b"12", b"", b"34", Delete("b"), Begin("c"), End()):
            intake.accept(message)
        first, second, third = intake.steps()
        assert (content(first), content(third)) == (b"1234", b"")
        assert isinstance(first, Put)
        assert first.expected_sha256 == "f" * 64
        assert second == Delete("b")


def test_content_may_be_read_by_several_at_once() -> None:
    with Intake(LIMITS) as intake:
        intake.accept(Begin("a"))
        intake.accept(b"0123456789")
        intake.accept(End())
        (step,) = intake.steps()
        assert isinstance(step, Put)
        assert isinstance(step.content, Content)
        assert [step.content.piece(at, 2) for at in (4, 0, 8)] == [b"45", b"01", b"89"]


def test_limits_hold_to_the_byte() -> None:
    with Intake(LIMITS) as intake:
        intake.accept(Begin("a"))
        intake.accept(b"x" * 10)
        with pytest.raises(Invalid) as one:
            intake.accept(b"x")
        assert one.value.reason == "FILE_TOO_LARGE"
    with Intake(LIMITS) as intake:
        for part in (Begin("a"), b"x" * 10, Begin("b"), b"x" * 5):
            intake.accept(part)
        with pytest.raises(QuotaExceeded) as all_:
            intake.accept(b"x")
        assert all_.value.metadata == {"path": "b", "limit": "15"}
    with Intake(LIMITS) as intake:
        for message in (Delete("a"), Rename("b", "c"), Begin("d")):
            intake.accept(message)
        with pytest.raises(QuotaExceeded) as steps:
            intake.accept(Delete("e"))
        assert steps.value.reason == "WRITE_STEPS"


def test_content_needs_a_file() -> None:
    for first in ([], [Delete("a")]):
        with Intake(LIMITS) as intake:
            for message in first:
                intake.accept(message)
            with pytest.raises(Invalid):
                intake.accept(b"x")


def test_temporary_files_go_with_the_write() -> None:
    with Intake(Limits(10**6, 10**6, 3)) as intake:
        intake.accept(Begin("a"))
        intake.accept(b"x" * 500_000)
        intake.accept(End())
        (step,) = intake.steps()
    assert isinstance(step, Put)
    assert step.content.file.closed


def test_a_write_without_an_end_may_be_a_part_and_is_refused() -> None:
    with Intake(LIMITS) as intake:
        intake.accept(Begin("a"))
        intake.accept(b"half")
        with pytest.raises(Invalid):
            intake.steps()


def test_nothing_follows_the_end() -> None:
    for message in (Begin("b"), b"x", End()):
        with Intake(LIMITS) as intake:
            intake.accept(Begin("a"))
            intake.accept(End())
            with pytest.raises(Invalid):
                intake.accept(message)
