"""Which descriptors the engine touches, whoever hands them over."""

from __future__ import annotations

import os

import pytest

from local.sandboxes import errors
from local.sandboxes.agent_link import Answer
from local.sandboxes.files import _checked
from local.sandboxes.filesystems import holds_plain_data


def opened(path: str, flags: int = os.O_RDONLY) -> int:
    return os.open(path, flags | os.O_CLOEXEC)


def plain(descriptor: int) -> bool:
    try:
        return holds_plain_data(descriptor)
    finally:
        os.close(descriptor)


def test_programs_of_the_machine_and_files_in_memory_may_be_read() -> None:
    assert plain(opened("/usr/bin/env"))
    assert plain(os.memfd_create("mine"))


@pytest.mark.parametrize("path", ["/proc/sys/kernel/hostname", "/proc/self/cgroup"])
def test_the_kernels_files_may_not(path: str) -> None:
    assert not plain(opened(path))


def test_only_files_in_memory_may_be_written() -> None:
    assert not plain(opened("/proc/self/comm", os.O_WRONLY))
    assert plain(os.memfd_create("mine"))


def test_an_agent_that_hands_over_one_of_them_is_not_believed() -> None:
    answer = Answer([], [opened("/proc/sys/kernel/hostname")])
    with pytest.raises(errors.InternalError, match="kernel"), _checked(answer):
        pass
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(answer.descriptors[0])
