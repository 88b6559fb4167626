"""The steps of a write as they arrive."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.errors import Invalid, QuotaExceeded
from services.projects.model import DeleteStep, Put, PutStep, RenameStep
from services.projects.service.upload import End, Limits, Upload

LIMITS = Limits(file_bytes=100, project_files=9, project_bytes=150, write_steps=3)


def _put(path: str) -> PutStep:
    return PutStep(path, None)


@given(st.lists(st.lists(st.binary(max_size=9), max_size=4), max_size=3))
def test_content_comes_back_as_it_arrived(files: list[list[bytes]]) -> None:
    with Upload(LIMITS) as upload:
        for number, pieces in enumerate(files):
            upload.accept(_put(f"{number}"))
            for piece in pieces:
                upload.accept(piece)
        upload.accept(End())
        upload.finish()
        for operation, pieces in zip(upload.operations, files, strict=True):
            whole = b"".join(pieces)
            assert isinstance(operation, Put)
            assert operation.content.sha256 == hashlib.sha256(whole).hexdigest()
            assert operation.content.size_bytes == len(whole)
            assert upload.read(operation.content, 0, 1000) == whole
            assert upload.read(operation.content, 1, 2) == whole[1:3]


def test_content_beyond_memory_comes_back_too() -> None:
    limits = Limits(10_000_000, 9, 10_000_000, 9)
    with Upload(limits) as upload:
        upload.accept(_put("a"))
        for number in range(5):
            upload.accept(bytes([number]) * 600_000)
        upload.accept(End())
        upload.finish()
        (operation,) = upload.operations
        assert isinstance(operation, Put)
        assert upload.read(operation.content, 2_400_000, 10**9) == b"\x04" * 600_000


def test_limits_are_kept_while_content_arrives() -> None:
    with Upload(LIMITS) as upload:
        upload.accept(_put("a"))
        upload.accept(b"x" * 100)
        with pytest.raises(Invalid) as large:
            upload.accept(b"x")
        assert (large.value.reason, large.value.metadata["path"]) == ("FILE_TOO_LARGE", "a")
        upload.accept(_put("b"))
        upload.accept(b"x" * 50)
        with pytest.raises(QuotaExceeded) as much:
            upload.accept(b"x")
        assert (much.value.reason, much.value.metadata["limit"]) == ("PROJECT_BYTES", "150")
        upload.accept(DeleteStep("c", None))
        with pytest.raises(QuotaExceeded) as many:
            upload.accept(DeleteStep("d", None))
        assert many.value.reason == "WRITE_STEPS"


def test_content_must_follow_a_put() -> None:
    with Upload(LIMITS) as upload:
        with pytest.raises(Invalid):
            upload.accept(b"x")
        upload.accept(_put("a"))
        upload.accept(DeleteStep("b", None))
        with pytest.raises(Invalid):
            upload.accept(b"x")


def test_a_write_is_told_from_any_other() -> None:
    def fingerprint(*steps: PutStep | DeleteStep | RenameStep | bytes) -> str:
        with Upload(LIMITS) as upload:
            for step in steps:
                upload.accept(step)
            upload.accept(End())
            upload.finish()
            return upload.sha256()

    different = {
        fingerprint(),
        fingerprint(_put("a")),
        fingerprint(_put("a"), b"x"),
        fingerprint(_put("b"), b"x"),
        fingerprint(PutStep("a", ""), b"x"),
        fingerprint(DeleteStep("a", None)),
        fingerprint(RenameStep("a", "b", None)),
        fingerprint(RenameStep("b", "a", None)),
        fingerprint(_put("a"), DeleteStep("a", None)),
    }
    assert len(different) == 9
    assert fingerprint(_put("a"), b"xy") == fingerprint(_put("a"), b"x", b"y")


def test_a_write_without_an_end_may_be_a_part_and_is_refused() -> None:
    with Upload(LIMITS) as upload:
        upload.accept(_put("a"))
        upload.accept(b"half")
        with pytest.raises(Invalid):
            upload.finish()


def test_nothing_follows_the_end() -> None:
    for step in (_put("b"), b"x", End()):
        with Upload(LIMITS) as upload:
            upload.accept(_put("a"))
            upload.accept(End())
            with pytest.raises(Invalid):
                upload.accept(step)
