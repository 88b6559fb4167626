"""The frames between engine and agent: what goes in comes out, and nothing else is believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.sandboxes.agent import frames


@given(st.lists(st.binary(max_size=200), max_size=8))
def test_packed_fields_come_back(fields: list[bytes]) -> None:
    assert frames.unpack(frames.pack(fields)) == fields


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2**32 - 1),
            st.integers(0, 4),
            st.integers(0, frames.MAX_FDS),
            st.lists(st.binary(max_size=50), max_size=4),
        ),
        max_size=5,
    ),
    st.integers(1, 64),
)
def test_frames_survive_any_cutting_of_the_stream(
    sent: list[tuple[int, int, int, list[bytes]]], cut: int
) -> None:
    stream = b"".join(frames.frame(number, kind, fields, fds) for number, kind, fds, fields in sent)
    reader = frames.Reader()
    got = []
    for at in range(0, len(stream), cut):
        got += reader.feed(stream[at : at + cut])
    assert got == sent


@given(st.binary(min_size=1, max_size=400))
def test_garbage_is_refused_or_waited_for_but_never_crashes(data: bytes) -> None:
    try:
        found = frames.Reader().feed(data)
    except frames.BadFrameError:
        return
    assert all(isinstance(fields, list) for *_, fields in found)


def test_a_frame_beyond_the_limits_is_refused_on_both_sides() -> None:
    with pytest.raises(frames.BadFrameError):
        frames.frame(1, frames.OK, [bytes(frames.MAX_BODY)])
    with pytest.raises(frames.BadFrameError):
        frames.frame(1, frames.OK, [], frames.MAX_FDS + 1)
    huge = ((frames.MAX_BODY + 1) << 48).to_bytes(frames.HEAD, "big")
    with pytest.raises(frames.BadFrameError):
        frames.Reader().feed(huge)


def test_a_field_longer_than_its_frame_is_refused() -> None:
    with pytest.raises(frames.BadFrameError):
        frames.unpack((10).to_bytes(4, "big") + b"short")
