"""What the agent takes away from itself and from the commands that it starts.

Commands run under the agent's own uid. A process that is not dumpable can't be opened by others of
its uid through /proc, so a command reaches neither the agent's memory nor its control socket.
"""

from __future__ import annotations

import _ctypes  # the bare C module: importing ctypes would double the time until a jail is ready
import os

_PR_SET_DUMPABLE = 4
_OOM_SCORE = b"500"

# The type stub does not know that None, as in dlopen(3), is the process itself.
_prctl = _ctypes.dlsym(_ctypes.dlopen(None, 0), "prctl")  # type: ignore[arg-type]


def set_dumpable(dumpable: bool) -> None:
    """Close (or open again) this process's /proc entries to others of its uid; raises OSError."""
    if _ctypes.call_cdeclfunction(_prctl, (_PR_SET_DUMPABLE, int(dumpable), 0, 0, 0)) != 0:
        raise OSError("prctl(PR_SET_DUMPABLE) failed")


def cap_processes(count: int) -> None:
    """The fallback where neither a control group nor a uid of its own caps a jail's processes.

    The kernel counts them per user namespace (from Linux 5.14), and this one is the jail's.
    """
    import resource  # only a jail that needs it pays for it

    resource.setrlimit(resource.RLIMIT_NPROC, (count, count))


def offer_to_the_oom_killer() -> None:
    """Make this process, and what it starts, die of a lack of memory before the agent does."""
    set_dumpable(True)  # otherwise the file below belongs to the host's root
    descriptor = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
    os.write(descriptor, _OOM_SCORE)
    os.close(descriptor)
