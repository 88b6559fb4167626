"""Upload bodies, whole and cut to pieces."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from local.sandboxes import errors
from local.sandboxes.envd import uploads
from local.sandboxes.files import Files, OpenFile

_FORM = (
    b'--b\r\nContent-Disposition: form-data; name="note"\r\n\r\nignored\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="one.txt"\r\n'
    b"Content-Type: text/plain\r\n\r\nfirst --b\r\nfile\r\n"
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="two %22x%22.txt"\r\n\r\n\r\n--b--\r\n'
)


class Folder:
    """The one call of ``Files`` that uploads make, on a plain folder."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @asynccontextmanager
    async def writing(self, user: str, path: str) -> AsyncIterator[OpenFile]:
        descriptor = os.open(self._path / path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            yield OpenFile(path, descriptor)
        finally:
            os.close(descriptor)


def folder(tmp_path: Path) -> Files:
    return cast("Files", Folder(tmp_path))


async def cut(data: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


@pytest.mark.parametrize("size", [1, 2, 7, 64, 10_000])
async def test_a_form_is_written_however_its_bytes_arrive(tmp_path: Path, size: int) -> None:
    wanted = uploads.Upload("user", None, {})
    kind = "multipart/form-data; boundary=b"
    written = await uploads.receive(folder(tmp_path), wanted, kind, cut(_FORM, size))
    assert written == ["one.txt", 'two "x".txt']
    assert (tmp_path / "one.txt").read_bytes() == b"first --b\r\nfile"
    assert (tmp_path / 'two "x".txt').read_bytes() == b""


async def test_two_parts_for_one_path_are_refused(tmp_path: Path) -> None:
    wanted = uploads.Upload("user", "same", {})
    with pytest.raises(errors.InvalidError, match="same path 'same'"):
        await uploads.receive(
            folder(tmp_path), wanted, "multipart/form-data; boundary=b", cut(_FORM, 50)
        )


async def test_a_form_that_ends_too_early_is_refused(tmp_path: Path) -> None:
    wanted = uploads.Upload("user", None, {})
    with pytest.raises(errors.InvalidError, match="too early"):
        await uploads.receive(
            folder(tmp_path), wanted, "multipart/form-data; boundary=b", cut(_FORM[:-4], 50)
        )


def test_metadata_comes_from_headers_and_a_bad_key_is_named() -> None:
    headers = [(b"x-metadata-Author", b"ann"), (b"other", b"x")]
    assert uploads.metadata_of(headers) == {"author": "ann"}
    with pytest.raises(errors.InvalidError, match="metadata key"):
        uploads.metadata_of([(b"x-metadata-a b", b"x")])
