"""What was served, so that a caller's own count can be held against it."""

from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any

from local.model.answer import Answer

KEPT = 10_000


@dataclass(slots=True)
class Entry:
    """One request that was let in. `output_tokens` counts what left, also of a cut stream."""

    request_id: str
    model: str
    stream: bool
    user_id: str | None
    message_id: str = ""
    status: int = 0
    stop_reason: str | None = None
    completed: bool = False
    input_tokens: int = 0
    cache_creation_input_tokens: int = 0
    cache_read_input_tokens: int = 0
    output_tokens: int = 0

    def opened(self, answer: Answer) -> None:
        """The answer is known and begins."""
        self.status = 200
        self.message_id = answer.id
        self.input_tokens = answer.usage.input_tokens
        self.cache_creation_input_tokens = answer.usage.cache_creation
        self.cache_read_input_tokens = answer.usage.cache_read

    def said(self, tokens: int) -> None:
        """`tokens` more have left."""
        self.output_tokens += tokens

    def closed(self, answer: Answer) -> None:
        """The answer was said to its end."""
        self.completed = True
        self.stop_reason = answer.stop_reason
        self.output_tokens = answer.output_tokens


@dataclass(slots=True)
class Ledger:
    """The last entries, oldest first, and totals since the start."""

    entries: deque[Entry] = field(default_factory=lambda: deque(maxlen=KEPT))
    requests: int = 0

    def open(self, entry: Entry) -> Entry:
        """Keep `entry`, which its owner goes on filling in."""
        self.entries.append(entry)
        self.requests += 1
        return entry

    def report(self, request_id: str | None = None) -> dict[str, Any]:
        """Entries and their sums; of one request when `request_id` is given."""
        chosen = [entry for entry in self.entries if request_id in (None, entry.request_id)]
        kinds = (
            "input_tokens",
            "cache_creation_input_tokens",
            "cache_read_input_tokens",
            "output_tokens",
        )
        return {
            "requests": self.requests if request_id is None else len(chosen),
            "totals": {kind: sum(getattr(entry, kind) for entry in chosen) for kind in kinds},
            "entries": [asdict(entry) for entry in chosen],
        }
