"""``/files``: reading and writing whole files, streamed."""

from __future__ import annotations

import asyncio
import mimetypes
import os
import zlib
from collections.abc import AsyncIterator, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from local.sandboxes import errors
from local.sandboxes.asgi import (
    ClientGoneError,
    Headers,
    Receive,
    Scope,
    Send,
    answer_json,
    body_parts,
    header,
)
from local.sandboxes.engine import Engine
from local.sandboxes.envd import access, uploads
from local.sandboxes.envd.ranges import requested_range
from local.sandboxes.files import OpenFile
from local.sandboxes.routing import signature_expired, signature_fits
from local.sandboxes.sandbox import Sandbox

_CHUNK = 256 * 1024
_MOST_COMPRESSED = 64 * 1024 * 1024  # bytes; larger files go as they are
_STATUSES: dict[type[errors.EngineError], int] = {
    errors.InvalidError: 400,
    errors.UnauthenticatedError: 401,
    errors.PermissionDeniedError: 403,
    errors.NotFoundError: 404,
    errors.AlreadyExistsError: 409,
    errors.ConflictError: 409,
    errors.ExhaustedError: 429,
    errors.UnsupportedError: 501,
    errors.UnavailableError: 502,
    errors.NotEnoughSpaceError: 507,
}


class FilesEndpoint:
    """An ASGI application."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def sending(message: MutableMapping[str, Any]) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._answer(scope, receive, sending)
        except ClientGoneError:
            return
        except errors.EngineError as exc:
            if begun:
                return  # the missing bytes tell the client
            status = next((one for kind, one in _STATUSES.items() if isinstance(exc, kind)), 500)
            await answer_json(send, status, {"code": status, "message": exc.message})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        sandbox = self._engine.running(scope["target"].sandbox_id)
        authenticate(sandbox, scope)
        if scope["method"] == "GET":
            await _download(sandbox, scope, query, send)
        elif scope["method"] == "POST":
            await _upload(sandbox, scope, query, receive, send)
        else:
            await answer_json(send, 405, {"code": 405, "message": "use GET or POST"})


def authenticate(sandbox: Sandbox, scope: Scope) -> None:
    """By the sandbox's token, or by a URL signed with it; raises UnauthenticatedError."""
    query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    if "signature" not in query:
        access.check_token(sandbox, header(scope, b"x-access-token"))
        return
    if not signature_fits(query, scope["method"], sandbox.identity.access_token):
        raise errors.UnauthenticatedError("invalid signature")
    if signature_expired(query):
        raise errors.UnauthenticatedError("signature is already expired")


async def _download(
    sandbox: Sandbox, scope: Scope, query: dict[str, list[str]], send: Send
) -> None:
    path, user = query.get("path", [""])[0], query.get("username", [""])[0]
    async with sandbox.files.reading(user, path) as file:
        kind = mimetypes.guess_type(file.path)[0] or "application/octet-stream"
        headers: Headers = [(b"content-type", kind.encode()), (b"vary", b"Accept-Encoding")]
        # Everybody accepts gzip by habit; on one machine it only pays who asks for nothing else.
        only_gzip = header(scope, b"accept-encoding").strip().lower() == "gzip"
        if only_gzip and file.size <= _MOST_COMPRESSED:
            await _send_compressed(send, file, headers)
        else:
            await _send_plain(send, file, headers, header(scope, b"range"))


async def _send_plain(send: Send, file: OpenFile, headers: Headers, asked: str) -> None:
    start, end, status = requested_range(asked, file.size)
    headers += [(b"content-length", b"%d" % (end - start)), (b"accept-ranges", b"bytes")]
    if status == 206:
        headers.append((b"content-range", b"bytes %d-%d/%d" % (start, end - 1, file.size)))
    elif status == 416:
        headers.append((b"content-range", b"bytes */%d" % file.size))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    while start < end:
        part = os.pread(file.descriptor, min(_CHUNK, end - start), start)
        if not part:
            return  # it was shortened meanwhile: the missing bytes tell the client
        start += len(part)
        await _send_part(send, part)
    await send({"type": "http.response.body", "body": b""})


async def _send_compressed(send: Send, file: OpenFile, headers: Headers) -> None:
    headers.append((b"content-encoding", b"gzip"))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    compressor = zlib.compressobj(level=1, wbits=31)
    at = 0
    # No further than it went at the start: it may grow faster than it is sent.
    while part := os.pread(file.descriptor, min(_CHUNK, file.size - at), at):
        at += len(part)
        await _send_part(send, compressor.compress(part))
    await send({"type": "http.response.body", "body": compressor.flush()})


async def _send_part(send: Send, part: bytes) -> None:
    await send({"type": "http.response.body", "body": part, "more_body": True})
    await asyncio.sleep(0)  # a send to a client that keeps up, or of nothing, does not wait


async def _upload(
    sandbox: Sandbox, scope: Scope, query: dict[str, list[str]], receive: Receive, send: Send
) -> None:
    body = body_parts(receive)
    encoding = header(scope, b"content-encoding").strip().lower()
    if encoding == "gzip":
        body = _decompressed(body)
    elif encoding not in ("", "identity"):
        raise errors.InvalidError(f"content-encoding: {encoding} is not supported, gzip is")
    wanted = uploads.Upload(
        user=query.get("username", [""])[0],
        path=query["path"][0] if "path" in query else None,
        metadata=uploads.metadata_of(scope["headers"]),
    )
    written = await uploads.receive(sandbox.files, wanted, header(scope, b"content-type"), body)
    await answer_json(send, 200, [_written(one, wanted.metadata) for one in written])


async def _decompressed(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Inflated a chunk at a time: a small body that unpacks to a huge one fills the disk at most."""
    inflater = zlib.decompressobj(wbits=31)
    try:
        async for part in body:
            pending = part
            while pending and not inflater.eof:
                if unpacked := inflater.decompress(pending, _CHUNK):
                    yield unpacked
                pending = inflater.unconsumed_tail
                await asyncio.sleep(0)  # one part of the body can unpack to a thousand chunks
        if not inflater.eof:
            raise errors.InvalidError("error decompressing request body: it ends too early")
    except zlib.error as exc:
        raise errors.InvalidError(f"error decompressing request body: {exc}") from exc


def _written(path: str, metadata: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {"path": path, "name": path.rpartition("/")[2], "type": "file"}
    if metadata:
        found["metadata"] = metadata
    return found
