"""Failures on request: which request fails, and how, follows from settings, a header and a seed alone."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from local.model import errors
from local.model.answer import Answer, Saying
from local.model.errors import ApiError, InvalidRequest
from local.model.events import Frame

HEADER = "x-local-model-fault"
# Answered instead of an answer.
STATUSES: dict[str, type[ApiError]] = {
    "429": errors.RateLimited,
    "500": errors.ApiError,
    "503": errors.Unavailable,
    "504": errors.TimedOut,
    "529": errors.Overloaded,
}
# The stream breaks in its middle: an error event, a lost connection, silence, an end without a stop.
STREAMS = ("error", "cut", "stall", "eof")
# The answer itself is another one.
ANSWERS = ("invalid-json", "max_tokens", "refusal", "pause_turn", "broken-link")
KINDS = (*STATUSES, *STREAMS, *ANSWERS)
KEPT = 10_000
_RULE = re.compile(
    r"(?P<kind>[\w-]+)(?::(?:(?P<rate>0?\.\d+|1\.0+)|(?P<first>\d+)|/(?P<every>\d+)))?"
)


class Cut(Exception):
    """The connection is to end here, without a word."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One failure: always, for the `first` requests, for one in `every`, or for a `rate` of all."""

    kind: str
    first: int = 0
    every: int = 0
    rate: float = 0.0

    def hits(self, number: int, seed: int) -> bool:
        """Whether the request `number` (from 1) fails."""
        if self.first:
            return number <= self.first
        if self.every:
            return number % self.every == 0
        if self.rate:
            digest = hashlib.sha256(f"{seed}:{self.kind}:{number}".encode()).digest()
            return int.from_bytes(digest[:6], "big") < self.rate * (1 << 48)
        return True


def rules(text: str) -> tuple[Rule, ...]:
    """Rules of a text such as `529:0.1,cut:3,stall:/20`; raises ValueError that names the bad one."""
    return tuple(_rule(part.strip()) for part in text.split(",") if part.strip())


def _rule(text: str) -> Rule:
    match = _RULE.fullmatch(text)
    if match is None or match["kind"] not in KINDS:
        raise ValueError(
            f"{text!r} is no fault: one of {', '.join(KINDS)}, alone or with ':3' (the first three "
            "requests), ':/5' (every fifth) or ':0.1' (a tenth of them)"
        )
    if "0" in (match["first"], match["every"]):
        raise ValueError(f"{text!r}: the number must be at least 1")
    return Rule(
        match["kind"],
        int(match["first"] or 0),
        int(match["every"] or 0),
        float(match["rate"] or 0),
    )


@dataclass(slots=True)
class Faults:
    """Counts requests and says which fault each has."""

    by_setting: tuple[Rule, ...] = ()
    seed: int = 0
    _requests: int = 0
    # Requests with a header, counted apart for each header and body: a repeated one gets through.
    _repeats: Counter[bytes] = field(default_factory=Counter)

    def pick(self, header: str, body: bytes) -> str:
        """The fault of the next request, or nothing; raises InvalidRequest for a header that is none."""
        self._requests += 1
        if header:
            return self._by_header(header, body)
        return next((r.kind for r in self.by_setting if r.hits(self._requests, self.seed)), "")

    def _by_header(self, header: str, body: bytes) -> str:
        try:
            asked = rules(header)
        except ValueError as error:
            raise InvalidRequest(f"{HEADER}: {error}") from error
        if len(self._repeats) >= KEPT:
            self._repeats.clear()
        key = hashlib.sha256(header.encode() + b"\0" + body).digest()
        self._repeats[key] += 1
        return next((r.kind for r in asked if r.hits(self._repeats[key], self.seed)), "")


def refuse(kind: str) -> None:
    """Raise the error that stands for `kind`, where it is one that is answered at once."""
    if kind in STATUSES:
        raise STATUSES[kind](f"A fault on request: {kind}")


def half(frames: Iterable[Frame], answer: Answer) -> Iterator[Frame]:
    """The frames up to the middle of `answer`."""
    spoken = 0
    for frame in frames:
        yield frame
        spoken += frame.tokens
        if spoken * 2 >= answer.output_tokens:
            return


def spoil_json(answer: Answer) -> Answer:
    """`answer` with the last brace of its first tool input left out."""
    sayings = list(answer.sayings)
    for index, saying in enumerate(sayings):
        if saying.kind == "tool_use":
            sayings[index] = _unclosed(saying)
            break
    return replace(answer, sayings=tuple(sayings))


def _unclosed(saying: Saying) -> Saying:
    payload = saying.payload[:-1]
    bursts = tuple(min(end, len(payload)) for end in saying.bursts)
    return replace(saying, payload=payload, bursts=bursts, finished=False)
