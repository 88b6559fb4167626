"""The transcoder over real sockets, with the sample service behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.transcoder import TranscoderOptions
from tests.unit.gateway.sample.running import Running, running


@pytest.fixture(name="options")
def _options() -> TranscoderOptions:
    """A test overrides this where it wants other limits."""
    return TranscoderOptions()


@pytest.fixture(name="sample")
async def _sample(options: TranscoderOptions) -> AsyncIterator[Running]:
    async with running(options) as found:
        yield found
