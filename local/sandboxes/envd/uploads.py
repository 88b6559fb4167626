"""Bodies of uploads: one file as it is, or several as a multipart form, streamed to the disk."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from local.sandboxes import errors
from local.sandboxes.agent.entries import XATTR_PREFIX
from local.sandboxes.asgi import Headers
from local.sandboxes.files import Files, OpenFile

_METADATA_HEADER = b"x-metadata-"
_METADATA_BYTES = 60_000  # of keys and values together; the kernel's own limit is 65,536 a value
_UNKEPT_BYTES = 1024 * 1024  # of a form's fields that are no files
_KEY = re.compile(r"^[a-z0-9!#$%&'*+.^_`|~-]{1,100}$")


@dataclass(frozen=True)
class Upload:
    """What the request says besides its body; without a path each part names its own."""

    user: str
    path: str | None
    metadata: dict[str, str]


def metadata_of(headers: Headers) -> dict[str, str]:
    """The ``X-Metadata-*`` headers; raises InvalidError for what can't be an attribute."""
    found = {}
    for name, value in headers:
        if name.startswith(_METADATA_HEADER):
            key = name[len(_METADATA_HEADER) :].decode("latin-1").lower()
            if not _KEY.match(key):
                raise errors.InvalidError(f"metadata key {key!r} is invalid")
            found[key] = value.decode("latin-1")
    size = 0
    for key, text in found.items():
        size += len(XATTR_PREFIX) + len(key) + len(text)
        if size > _METADATA_BYTES:
            raise errors.InvalidError(
                f"metadata key {key!r}: with it the metadata is larger than {_METADATA_BYTES} bytes"
            )
    return found


async def receive(
    files: Files, wanted: Upload, content_type: str, body: AsyncIterator[bytes]
) -> list[str]:
    """Write what ``body`` carries; answers the paths. Raises one of ``errors``."""
    kind, options = parse_options_header(content_type)
    if kind == b"application/octet-stream":
        if wanted.path is None:
            raise errors.InvalidError("path: is required for an application/octet-stream body")
        return [await _receive_one(files, wanted, wanted.path, body)]
    if kind == b"multipart/form-data" and options.get(b"boundary"):
        return await _receive_form(files, wanted, options[b"boundary"], body)
    raise errors.InvalidError(
        f"unsupported content type: {content_type or 'none'}, "
        "expected multipart/form-data or application/octet-stream"
    )


async def _receive_one(files: Files, wanted: Upload, path: str, body: AsyncIterator[bytes]) -> str:
    # A body that is refused from its beginning must not cost the file that is there.
    first = await anext(body, b"")
    async with files.writing(wanted.user, path) as file:
        _begin(file, wanted.metadata)
        _write(file, first)
        async for part in body:
            _write(file, part)
        return file.path


async def _receive_form(
    files: Files, wanted: Upload, boundary: bytes, body: AsyncIterator[bytes]
) -> list[str]:
    form = _Form(boundary)
    written: list[str] = []
    seen: set[str] = set()
    unkept = 0
    async with contextlib.AsyncExitStack() as stack:
        current: OpenFile | None = None
        async for data in body:
            for event in form.feed(data):
                match event:
                    case _Begin(name="file", filename=filename):
                        await stack.aclose()
                        path = _new_path(wanted, filename, seen)
                        current = await stack.enter_async_context(files.writing(wanted.user, path))
                        written.append(current.path)
                        _begin(current, wanted.metadata)
                    case _Begin():
                        current = None
                    case bytes() if current is not None:
                        _write(current, event)
                    case bytes():
                        unkept += len(event)
            if unkept > _UNKEPT_BYTES:
                raise errors.InvalidError(
                    f"the form's fields that are no files are larger than {_UNKEPT_BYTES} bytes"
                )
        form.finish()
    return written


def _new_path(wanted: Upload, filename: str, seen: set[str]) -> str:
    path = wanted.path if wanted.path is not None else filename
    if path in seen:
        raise errors.InvalidError(
            f"you cannot upload multiple files to the same path '{path}' in one upload request"
        )
    seen.add(path)
    return path


@dataclass(frozen=True)
class _Begin:
    name: str
    filename: str


class _Form:
    """A multipart body as a sequence of part beginnings and their bytes."""

    def __init__(self, boundary: bytes) -> None:
        self._events: list[_Begin | bytes] = []
        self._field = self._value = b""
        self._disposition = b""
        self._done = False
        with _parsing():
            self._parser = MultipartParser(
                boundary,
                {
                    "on_header_field": self._on_field,
                    "on_header_value": self._on_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers,
                    "on_part_data": self._on_data,
                    "on_end": self._on_end,
                },
            )

    def feed(self, data: bytes) -> list[_Begin | bytes]:
        with _parsing():
            self._parser.write(data)
        events, self._events = self._events, []
        return events

    def finish(self) -> None:
        if not self._done:
            raise errors.InvalidError("error parsing multipart form: it ends too early")

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._disposition = self._value
        self._field = self._value = b""

    def _on_headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        name, filename = options.get(b"name", b""), options.get(b"filename", b"")
        self._events.append(_Begin(name.decode("utf-8", "replace"), _file_name(filename)))
        self._disposition = b""

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self._events.append(bytes(data[start:end]))

    def _on_end(self) -> None:
        self._done = True


@contextlib.contextmanager
def _parsing() -> Iterator[None]:
    try:
        yield
    except FormParserError as exc:
        raise errors.InvalidError(f"error parsing multipart form: {exc}") from exc


def _file_name(raw: bytes) -> str:
    """HTTP clients escape quotes and line ends of a file name, as the HTML standard has it."""
    text = raw.decode("utf-8", "surrogateescape")
    return text.replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")


def _write(file: OpenFile, data: bytes) -> None:
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(file.descriptor, view) :]
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise errors.NotEnoughSpaceError("not enough disk space available") from exc
        raise errors.InternalError(f"error writing file: {exc.strerror}") from exc


def _begin(file: OpenFile, metadata: dict[str, str]) -> None:
    """Empty the file, which from now on has exactly these pairs. A refusal leaves its bytes."""
    wanted = {XATTR_PREFIX + key: value.encode("latin-1") for key, value in metadata.items()}
    try:
        for name in os.listxattr(file.descriptor):
            if name.startswith(XATTR_PREFIX) and name not in wanted:
                os.removexattr(file.descriptor, name)
        for name, value in wanted.items():
            os.setxattr(file.descriptor, name, value)
    except OSError as exc:
        if exc.errno != errno.ENOTSUP:
            raise _metadata_error(exc) from exc
        if metadata:
            raise errors.UnsupportedError(
                "this machine's kernel keeps no metadata of files in memory (tmpfs, from Linux 6.6)"
            ) from exc
    os.ftruncate(file.descriptor, 0)


def _metadata_error(error: OSError) -> errors.EngineError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return errors.NotEnoughSpaceError("not enough disk space available for the metadata")
    if error.errno in (errno.E2BIG, errno.ERANGE):
        return errors.InvalidError("the metadata is larger than the file system takes")
    return errors.InternalError(f"error writing metadata: {error.strerror}")
