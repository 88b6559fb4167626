"""Downloads to a client that takes everything at once: the others have their turns all the same."""

from __future__ import annotations

import asyncio
import os
import zlib
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from local.sandboxes.envd.files import _download
from local.sandboxes.files import OpenFile
from local.sandboxes.sandbox import Sandbox

_MB = 1024 * 1024


class OneFile:
    """A sandbox that holds one sparse file of so many bytes, opened as ``said`` bytes long."""

    def __init__(self, size: int, said: int | None = None) -> None:
        self.files = self
        self._size = size
        self._said = size if said is None else said

    @asynccontextmanager
    async def reading(self, user: str, path: str) -> AsyncIterator[OpenFile]:
        descriptor = os.memfd_create("sparse")
        os.ftruncate(descriptor, self._size)
        try:
            yield OpenFile(path, descriptor, self._said)
        finally:
            os.close(descriptor)


class Client:
    """Never makes the sender wait; counts the turns that somebody else had meanwhile."""

    def __init__(self) -> None:
        self.turns = 0
        self.headers: dict[bytes, bytes] = {}
        self.body = bytearray()

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.headers = dict(message["headers"])
        else:
            self.body += message["body"]

    async def take_turns(self) -> None:
        while True:
            self.turns += 1
            await asyncio.sleep(0)

    async def download(self, file: OneFile, encoding: bytes) -> None:
        scope = {"headers": [(b"accept-encoding", encoding)]}
        other = asyncio.create_task(self.take_turns())
        await _download(cast("Sandbox", file), scope, {"path": ["f"]}, self.send)
        other.cancel()


def inflated(body: bytes | bytearray) -> bytes:
    return zlib.decompress(body, wbits=31)


@pytest.mark.parametrize(
    ("encoding", "plain"), [(b"identity", bytes), (b"gzip", inflated)], ids=["plain", "gzip"]
)
async def test_every_chunk_leaves_the_others_a_turn(
    encoding: bytes, plain: Callable[[bytearray], bytes]
) -> None:
    client = Client()
    await client.download(OneFile(16 * _MB), encoding)
    assert client.turns >= 64
    assert plain(client.body) == bytes(16 * _MB)


async def test_a_large_file_is_not_compressed() -> None:
    client = Client()
    await client.download(OneFile(65 * _MB), b"gzip")
    assert b"content-encoding" not in client.headers
    assert client.headers[b"content-length"] == b"%d" % (65 * _MB)


async def test_a_file_that_grows_while_it_is_compressed_is_sent_as_it_was() -> None:
    client = Client()
    await client.download(OneFile(2 * _MB, said=_MB + 1), b"gzip")
    assert inflated(client.body) == bytes(_MB + 1)
