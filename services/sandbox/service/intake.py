"""The steps of a write while they arrive: content goes into temporary files, limits are kept as it comes."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Self

from kit.errors import Invalid, QuotaExceeded, Violation
from services.sandbox.model import Content, Delete, Put, Rename, Step

_MEMORY_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What one write may bring."""

    file_bytes: int
    write_bytes: int
    write_steps: int


@dataclass(frozen=True, slots=True)
class Begin:
    """A file begins; its content follows."""

    path: str
    expected_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class End:
    """Everything has been sent."""


Message = Begin | Delete | Rename | End | bytes
"""What one message of a write brings; bytes go on with the last file that began."""


class Intake:
    """A write that is arriving. Of each file up to 256 KiB is held in memory, more on disk without a name."""

    def __init__(self, limits: Limits) -> None:
        """Use it in a ``with``: the temporary files go with it."""
        self._limits = limits
        self._files: list[IO[bytes]] = []
        self._open: Begin | None = None
        self._size = 0
        self._total = 0
        self._steps: list[Step] = []
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in self._files:
            file.close()

    def accept(self, message: Message) -> None:
        """Takes what one message brings. Raises ``Invalid`` or ``QuotaExceeded`` as soon as a limit is passed."""
        if self._ended:
            raise Invalid.field("operation.end", "must be the last step")
        if isinstance(message, bytes):
            self._continue(message)
            return
        self._finish()
        if isinstance(message, End):
            self._ended = True
            return
        if len(self._steps) >= self._limits.write_steps:
            raise QuotaExceeded(
                f"one write has at most {self._limits.write_steps} steps",
                reason="WRITE_STEPS",
                metadata={"limit": str(self._limits.write_steps)},
            )
        if isinstance(message, Begin):
            self._begin(message)
        else:
            self._steps.append(message)

    def steps(self) -> list[Step]:
        """All steps. Raises ``Invalid`` where the end has not come: what was sent may be a part."""
        if not self._ended:
            raise Invalid.field("operation.end", "must be the last step: the write is not complete")
        return self._steps

    def _begin(self, message: Begin) -> None:
        self._open, self._size = message, 0
        # Closed by __exit__.
        self._files.append(tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES))  # noqa: SIM115

    def _continue(self, data: bytes) -> None:
        if self._open is None:
            raise Invalid.field("operation.chunk", "must follow the put of a file")
        self._size += len(data)
        self._total += len(data)
        self._check_sizes(self._open.path)
        self._files[-1].write(data)

    def _finish(self) -> None:
        if self._open is not None:
            content = Content(self._files[-1], self._size)
            self._steps.append(Put(self._open.path, content, self._open.expected_sha256))
            self._open = None

    def _check_sizes(self, path: str) -> None:
        if self._size > self._limits.file_bytes:
            told = f"the file '{path}' has more than {self._limits.file_bytes} bytes"
            raise Invalid(
                told,
                reason="FILE_TOO_LARGE",
                violations=(Violation("path", told),),
                metadata={"path": path, "limit": str(self._limits.file_bytes)},
            )
        if self._total > self._limits.write_bytes:
            raise QuotaExceeded(
                f"one write has at most {self._limits.write_bytes} bytes, reached at '{path}'",
                reason="PROJECT_BYTES",
                metadata={"path": path, "limit": str(self._limits.write_bytes)},
            )
