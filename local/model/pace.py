"""The speed at which an answer is said."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass

from local.model.events import Frame

# A delta every 30 ms reads like the vendor's stream and keeps a hundred streams cheap.
DELTA_SECONDS = 0.03
UNTHROTTLED_DELTA_TOKENS = 16
CHUNK_BYTES = 16_384
# Silence is broken by a ping, as the vendor's is.
PING_SECONDS = 10.0
_PING = b'event: ping\ndata: {"type":"ping"}\n\n'


@dataclass(frozen=True, slots=True)
class Pace:
    """`tokens_per_second` 0 is as fast as it goes."""

    tokens_per_second: float
    first_token_delay: float

    @property
    def delta_tokens(self) -> int:
        """How many tokens one delta carries."""
        if not self.tokens_per_second:
            return UNTHROTTLED_DELTA_TOKENS
        return max(1, round(self.tokens_per_second * DELTA_SECONDS))

    def seconds(self, tokens: int) -> float:
        """How long it takes to say `tokens`, from the request on."""
        spoken = tokens / self.tokens_per_second if self.tokens_per_second else 0.0
        return self.first_token_delay + spoken

    async def chunks(
        self, frames: Iterable[Frame], on_tokens: Callable[[int], None]
    ) -> AsyncIterator[bytes]:
        """The frames' bytes, each no earlier than its tokens allow; counts tokens as they leave."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        spoken = 0
        waiting = bytearray()
        for frame in frames:
            spoken += frame.tokens
            due = start + self.seconds(spoken) if frame.tokens else 0.0
            if due > loop.time():
                if waiting:
                    yield bytes(waiting)
                    waiting.clear()
                async for ping in _sleep_until(due):
                    yield ping
            on_tokens(frame.tokens)
            waiting += frame.data
            if len(waiting) >= CHUNK_BYTES:
                yield bytes(waiting)
                waiting.clear()
                # An answer that never waits must still let the others speak.
                await asyncio.sleep(0)
        yield bytes(waiting)

    async def silence(self, tokens: int, step: float) -> AsyncIterator[None]:
        """The time that `tokens` take, in steps of at most `step` seconds."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self.seconds(tokens)
        while (left := due - loop.time()) > 0:
            await asyncio.sleep(min(left, step))
            yield


async def _sleep_until(due: float) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    while (left := due - loop.time()) > 0:
        await asyncio.sleep(min(left, PING_SECONDS))
        if left > PING_SECONDS:
            yield _PING
