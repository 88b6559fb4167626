"""Upload bodies, whole and cut to pieces."""

from __future__ import annotations

import asyncio
import errno
import gzip
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from local.sandboxes import errors
from local.sandboxes.envd import uploads
from local.sandboxes.envd.files import _decompressed
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
        descriptor = os.open(self._path / path, os.O_WRONLY | os.O_CREAT)
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


def test_metadata_that_no_listing_would_hold_is_refused_by_its_key() -> None:
    headers = [(b"x-metadata-a", b"v" * 40_000), (b"x-metadata-b", b"v" * 20_000)]
    with pytest.raises(errors.InvalidError, match=r"metadata key 'b'.* 60000 bytes"):
        uploads.metadata_of(headers)


_PLAIN = "application/octet-stream"


async def test_a_shorter_file_takes_the_place_of_a_longer_one(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"longer than the other")
    await uploads.receive(
        folder(tmp_path), uploads.Upload("user", "f", {}), _PLAIN, cut(b"short", 2)
    )
    assert (tmp_path / "f").read_bytes() == b"short"
    form = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n\r\n--b--\r\n'
    wanted = uploads.Upload("user", "f", {})
    await uploads.receive(folder(tmp_path), wanted, "multipart/form-data; boundary=b", cut(form, 9))
    assert (tmp_path / "f").read_bytes() == b""


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"not gzip", id="not gzip"),
        pytest.param(b"", id="nothing"),
        pytest.param(gzip.compress(b"x", mtime=0)[:10], id="cut off"),
    ],
)
async def test_a_body_that_does_not_unpack_leaves_the_file_as_it_was(
    tmp_path: Path, body: bytes
) -> None:
    (tmp_path / "f").write_bytes(b"precious")
    wanted = uploads.Upload("user", "f", {})
    with pytest.raises(errors.InvalidError, match="decompressing"):
        await uploads.receive(folder(tmp_path), wanted, _PLAIN, _decompressed(cut(body, 4)))
    assert (tmp_path / "f").read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOTSUP, errors.UnsupportedError),
        (errno.ENOSPC, errors.NotEnoughSpaceError),
        (errno.E2BIG, errors.InvalidError),
    ],
)
async def test_refused_metadata_says_why_and_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[errors.EngineError]
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "setxattr", refuse)
    (tmp_path / "f").write_bytes(b"precious")
    wanted = uploads.Upload("user", "f", {"a": "b"})
    with pytest.raises(kind):
        await uploads.receive(folder(tmp_path), wanted, _PLAIN, cut(b"new", 3))
    assert (tmp_path / "f").read_bytes() == b"precious"


async def test_a_boundary_that_is_too_long_is_a_bad_request(tmp_path: Path) -> None:
    kind = "multipart/form-data; boundary=" + "b" * 300
    with pytest.raises(errors.InvalidError, match="256"):
        await uploads.receive(folder(tmp_path), uploads.Upload("user", "f", {}), kind, cut(b"x", 1))


async def test_a_form_of_fields_that_nobody_keeps_is_not_read_to_its_end(tmp_path: Path) -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        yield b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n'
        while True:
            taken += 1
            yield bytes(65536)

    wanted = uploads.Upload("user", "f", {})
    with pytest.raises(errors.InvalidError, match="no files are larger than 1048576"):
        await uploads.receive(
            folder(tmp_path), wanted, "multipart/form-data; boundary=b", endless()
        )
    assert taken == 17


async def test_a_body_that_unpacks_to_much_leaves_the_others_their_turns() -> None:
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(take_turns())
    bomb = gzip.compress(bytes(16 * 1024 * 1024))
    size = sum([len(part) async for part in _decompressed(cut(bomb, len(bomb)))])
    other.cancel()
    assert size == 16 * 1024 * 1024
    assert turns >= 64
