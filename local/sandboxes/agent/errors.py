"""The agent's errors: a code that the engine maps to a status, and a sentence."""

from __future__ import annotations

import errno
import os

INVALID = "invalid"
NOT_FOUND = "not_found"
EXISTS = "exists"
DENIED = "denied"
PRECONDITION = "precondition"
NO_SPACE = "no_space"
EXHAUSTED = "exhausted"
REFUSED = "refused"
INTERNAL = "internal"

_BY_ERRNO = {
    errno.ENOENT: NOT_FOUND,
    errno.ENOTDIR: INVALID,
    errno.EISDIR: INVALID,
    errno.ENAMETOOLONG: INVALID,
    errno.EINVAL: INVALID,
    errno.EEXIST: EXISTS,
    errno.ENOTEMPTY: PRECONDITION,
    errno.EXDEV: PRECONDITION,
    errno.EBUSY: PRECONDITION,
    errno.ELOOP: PRECONDITION,
    errno.ETXTBSY: PRECONDITION,
    errno.EACCES: DENIED,
    errno.EPERM: DENIED,
    errno.EROFS: DENIED,
    errno.ENOSPC: NO_SPACE,
    errno.EDQUOT: NO_SPACE,
    errno.EAGAIN: EXHAUSTED,
    errno.EMFILE: EXHAUSTED,
    errno.ENFILE: EXHAUSTED,
    errno.ENOMEM: EXHAUSTED,
    errno.ECONNREFUSED: REFUSED,
}


class AgentError(Exception):
    """A request that failed: ``code`` is one of the constants above."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def from_os_error(error: OSError, what: str) -> AgentError:
    """``error`` with its place in the closed set, and what was being done."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    return AgentError(_BY_ERRNO.get(error.errno or 0, INTERNAL), f"{what}: {reason.lower()}")
