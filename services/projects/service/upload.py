"""The steps of a write while they arrive: content is hashed and set aside, limits are kept as it comes."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import orjson

from kit.errors import Invalid, QuotaExceeded, Violation
from services.projects.model import (
    Content,
    DeleteStep,
    Operation,
    Put,
    PutStep,
    RenameStep,
)


@dataclass(frozen=True, slots=True)
class End:
    """Everything has been sent."""


Step = PutStep | DeleteStep | RenameStep | End | bytes
"""What one message of a write brings; bytes go on with the last put."""
_MEMORY_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What one write may bring and what a project may hold."""

    file_bytes: int
    project_files: int
    project_bytes: int
    write_steps: int


class Upload:
    """A write under way. Up to 1 MiB of content is held in memory, more in an unnamed file."""

    def __init__(self, limits: Limits) -> None:
        """Use it in a ``with``: the file goes with it."""
        self._limits = limits
        # Closed by __exit__.
        self._spool = tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES)  # noqa: SIM115
        self._end = 0
        self._steps = 0
        self._open: PutStep | None = None
        self._hash = hashlib.sha256()
        self._begin = 0
        self._offsets: dict[str, int] = {}
        self._ended = False
        self.operations: list[Operation] = []
        """The complete steps, in order; all of them after ``finish``."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._spool.close()

    def accept(self, step: Step) -> None:
        """Takes what one message brings. Raises ``Invalid`` or ``QuotaExceeded`` as soon as a limit is passed."""
        if self._ended:
            raise Invalid.field("operation.end", "must be the last step")
        if isinstance(step, bytes):
            self._continue(step)
            return
        self._close()
        if isinstance(step, End):
            self._ended = True
            return
        self._steps += 1
        if self._steps > self._limits.write_steps:
            raise QuotaExceeded(
                f"one write has at most {self._limits.write_steps} steps",
                reason="WRITE_STEPS",
                metadata={"limit": str(self._limits.write_steps)},
            )
        if isinstance(step, PutStep):
            self._open, self._hash, self._begin = step, hashlib.sha256(), self._end
        else:
            self.operations.append(step)

    def finish(self) -> None:
        """Raises ``Invalid`` where the end has not come: what was sent may be a part."""
        if not self._ended:
            raise Invalid.field("operation.end", "must be the last step: the write is not complete")

    def _close(self) -> None:
        """No more content comes for the last put."""
        if self._open is None:
            return
        content = Content(self._hash.hexdigest(), self._end - self._begin)
        self._offsets[content.sha256] = self._begin
        self.operations.append(Put(self._open, content))
        self._open = None

    def read(self, content: Content, begin: int, size: int) -> bytes:
        """At most ``size`` bytes of a content that has arrived, from ``begin`` on."""
        self._spool.seek(self._offsets[content.sha256] + begin)
        return self._spool.read(max(0, min(size, content.size_bytes - begin)))

    def sha256(self) -> str:
        """Identifies the whole write: the same steps with the same content have the same."""
        return hashlib.sha256(orjson.dumps([_told(step) for step in self.operations])).hexdigest()

    def _continue(self, data: bytes) -> None:
        if self._open is None:
            raise Invalid.field("operation.chunk", "must follow the put of a file")
        self._check_size(self._open.path, len(data))
        self._hash.update(data)
        self._spool.seek(self._end)
        self._spool.write(data)
        self._end += len(data)

    def _check_size(self, path: str, more: int) -> None:
        limits = self._limits
        if self._end - self._begin + more > limits.file_bytes:
            told = f"the file '{path}' has more than {limits.file_bytes} bytes"
            raise Invalid(
                told,
                reason="FILE_TOO_LARGE",
                violations=(Violation("path", told),),
                metadata={"path": path, "limit": str(limits.file_bytes)},
            )
        if self._end + more > limits.project_bytes:
            raise QuotaExceeded(
                f"one write has at most {limits.project_bytes} bytes, reached at '{path}'",
                reason="PROJECT_BYTES",
                metadata={"path": path, "limit": str(limits.project_bytes)},
            )


def _told(operation: Operation) -> list[str | None]:
    match operation:
        case Put(step, content):
            return ["put", step.path, step.expected_sha256, content.sha256]
        case DeleteStep(path, expected):
            return ["delete", path, expected]
        case RenameStep(from_path, to_path, expected):
            return ["rename", from_path, to_path, expected]
