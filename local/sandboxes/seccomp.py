"""The system calls that a jail is refused, on top of what its namespaces already take away.

A list of what is denied, not of what is allowed: a sandbox has to run whatever its user brings.
"""

from __future__ import annotations

import errno
import os
import socket

import pyseccomp  # type: ignore[import-untyped]  # ships no types

_TIOCSTI = 0x5412  # types into the terminal of whoever started us
_TIOCLINUX = 0x541C
_NEW_NAMESPACES = 0x7E020080  # CLONE_NEWNS, -CGROUP, -UTS, -IPC, -USER, -PID, -NET, -TIME

# Of one another: mounts and namespaces, other processes' memory and descriptors, kernel interfaces
# with a history of escapes, and the machine's own state.
_DENIED = (
    *("mount", "umount2", "pivot_root", "chroot", "unshare", "setns", "mount_setattr"),
    *("open_tree", "open_tree_attr", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick"),
    *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd"),
    *("keyctl", "add_key", "request_key", "bpf", "perf_event_open", "userfaultfd"),
    *("name_to_handle_at", "open_by_handle_at", "fanotify_init", "lookup_dcookie"),
    *("init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot"),
    *("acct", "quotactl", "quotactl_fd", "swapon", "swapoff", "syslog", "vhangup"),
    *("settimeofday", "clock_settime", "adjtimex", "clock_adjtime", "sethostname"),
    *("setdomainname", "iopl", "ioperm", "modify_ldt", "vm86", "vm86old", "uselib", "nfsservctl"),
    *("migrate_pages", "move_pages", "mbind", "set_mempolicy", "set_mempolicy_home_node"),
)

# Programs fall back when these do not exist, and break when they are forbidden.
_ABSENT = (
    *("clone3", "io_uring_setup", "io_uring_enter", "io_uring_register"),
    "io_setup",  # what it takes comes out of one small store for the whole machine
)

_FAMILIES = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)
_HIGHEST_FAMILY = 64


def program() -> int:
    """A memory file with the compiled filter; the caller owns the descriptor."""
    rules = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    for name in _DENIED:
        _deny(rules, name, errno.EPERM)
    for name in _ABSENT:
        _deny(rules, name, errno.ENOSYS)
    _deny_flags(rules)
    _deny_families(rules)
    descriptor = os.memfd_create("seccomp", os.MFD_CLOEXEC)
    with os.fdopen(os.dup(descriptor), "wb") as target:
        rules.export_bpf(target)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _deny(rules: pyseccomp.SyscallFilter, name: str, error: int) -> None:
    try:
        number = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name)
    except (OSError, ValueError):
        return  # this libseccomp does not know it, nor can it filter it
    if number >= 0:
        rules.add_rule(pyseccomp.ERRNO(error), name)


def _deny_flags(rules: pyseccomp.SyscallFilter) -> None:
    refuse = pyseccomp.ERRNO(errno.EPERM)
    # One rule a flag: a masked comparison can ask for all of several bits, not for any of them.
    for bit in range(32):
        if _NEW_NAMESPACES & (1 << bit):
            rules.add_rule(
                refuse, "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, 1 << bit, 1 << bit)
            )
    for request in (_TIOCSTI, _TIOCLINUX):
        # The kernel reads 32 bits of the request, so that is what has to be compared.
        rules.add_rule(refuse, "ioctl", pyseccomp.Arg(1, pyseccomp.MASKED_EQ, 0xFFFFFFFF, request))


def _deny_families(rules: pyseccomp.SyscallFilter) -> None:
    """A network namespace does not hold back every family: AF_VSOCK reaches the hypervisor."""
    refuse = pyseccomp.ERRNO(errno.EAFNOSUPPORT)
    for family in range(_HIGHEST_FAMILY):
        if family not in _FAMILIES:
            rules.add_rule(
                refuse, "socket", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, 0xFFFFFFFF, family)
            )
