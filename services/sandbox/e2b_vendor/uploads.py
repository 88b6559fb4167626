"""In how many requests files are sent.

Files up to one size go many in one request of up to another, larger ones as streams of their own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence

from services.sandbox.model import Content
from services.sandbox.vendor import Upload

_SMALL_BYTES = 1024 * 1024
_BATCH_BYTES = 4 * 1024 * 1024
_BATCH_FILES = 100
_PIECE_BYTES = 256 * 1024


def batches(uploads: Sequence[Upload]) -> Iterator[list[Upload]]:
    """Small files, as many as one request takes."""
    batch: list[Upload] = []
    size = 0
    for upload in uploads:
        if not fits_a_batch(upload):
            continue
        batch.append(upload)
        size += upload.content.size
        if size >= _BATCH_BYTES or len(batch) == _BATCH_FILES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


async def pieces(content: Content) -> AsyncIterator[bytes]:
    """What goes as a stream of its own."""
    for begin in range(0, content.size, _PIECE_BYTES):
        yield content.piece(begin, _PIECE_BYTES)


def fits_a_batch(upload: Upload) -> bool:
    """Whether it may go with others."""
    # In a request of many files a name travels as a multipart file name, which is no place for odd characters.
    plain = (
        upload.path.isascii() and upload.path.isprintable() and not set(upload.path) & set('"%\\')
    )
    return upload.content.size <= _SMALL_BYTES and plain
