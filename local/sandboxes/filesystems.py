"""What a descriptor out of a jail lies on.

Files of procfs and its like are made up when they are read, and many are made up for whoever reads:
with the engine's rights, and outside of the jail's namespaces. The engine touches none of them.
"""

from __future__ import annotations

import ctypes
import fcntl
import os

_TMPFS = 0x01021994
# As in <linux/magic.h>.
_OF_THE_KERNEL = frozenset(
    (
        0x00009FA0,  # proc
        0x62656572,  # sysfs
        0x0027E0EB,  # cgroup
        0x63677270,  # cgroup2
        0x64626720,  # debugfs
        0x74726163,  # tracefs
        0x73636673,  # securityfs
        0x62656570,  # configfs
        0x6165676C,  # pstore
        0xDE5E81E4,  # efivarfs
        0xCAFE4A11,  # bpf
        0x6E736673,  # nsfs
        0x42494E4D,  # binfmt_misc
        0xF97CFF8C,  # selinux
        0x43415D53,  # smack
        0x5A3C69F0,  # apparmor
        0x07655821,  # resctrl
        0x00001CD1,  # devpts
        0x19800202,  # mqueue
        0x09041934,  # anonymous inodes
    )
)
_STATFS_BYTES = 256  # more than the structure has anywhere
_libc = ctypes.CDLL(None, use_errno=True)


def holds_plain_data(descriptor: int) -> bool:
    """Whether what it reads was once written there, and what is written through it stays in a jail.

    All that a jail can write is in memory, so what is open for writing has to be a tmpfs's.
    """
    kind = _kind(descriptor)
    if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        return kind not in _OF_THE_KERNEL
    return kind == _TMPFS


def _kind(descriptor: int) -> int:
    found = ctypes.create_string_buffer(_STATFS_BYTES)
    if _libc.fstatfs(descriptor, found) != 0:
        raise OSError(ctypes.get_errno(), "fstatfs")
    return ctypes.c_long.from_buffer(found).value & 0xFFFFFFFF
