"""Files in and out: chunk by chunk, never whole in memory, broken off where they break."""

from __future__ import annotations

import asyncio
import hashlib
import tracemalloc
from collections.abc import AsyncIterator

import httpx
import pytest

from gateway.transcoder import TranscoderOptions
from kit.testing import eventually
from tests.integration.gateway.test_unary import reason
from tests.unit.gateway.sample.running import Running, running

MIB = 1024 * 1024


async def pieces(count: int, size: int = 64 * 1024) -> AsyncIterator[bytes]:
    """``count`` pieces of a body, made one by one."""
    for number in range(count):
        yield bytes([number % 256]) * size


async def test_twenty_megabytes_come_out_in_bounded_memory(sample: Running) -> None:
    tracemalloc.start()
    try:
        received, digest = 0, hashlib.sha256()
        async with sample.http.stream("GET", f"/v1/files/a/big.bin?size={20 * MIB}") as answer:
            async for part in answer.aiter_raw():
                received += len(part)
                digest.update(part)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert received == 20 * MIB
    assert digest.digest() == hashlib.sha256(bytes(range(256)) * (20 * MIB // 256)).digest()
    assert peak < 8 * MIB


async def test_a_download_waits_for_a_client_that_does_not_read(sample: Running) -> None:
    async with sample.http.stream("GET", f"/v1/files/a/big.bin?size={200 * MIB}") as answer:
        await anext(answer.aiter_raw(1024))
        before = -1
        while before != sample.service.sent:  # until it no longer moves
            before = sample.service.sent
            await asyncio.sleep(0.3)
        assert sample.service.sent < 40 * MIB


async def test_file_bytes_carry_the_headers_that_keep_them_harmless(sample: Running) -> None:
    answer = await sample.http.get("/v1/files/a/b%20c/p%C3%A2ge%22x%22.html?size=10")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "sandbox"
    assert answer.headers["content-disposition"] == (
        "attachment; filename=\"p_ge_x_.html\"; filename*=UTF-8''p%C3%A2ge%22x%22.html"
    )
    assert len(answer.content) == 10


async def test_an_empty_file_is_a_file(sample: Running) -> None:
    answer = await sample.http.get("/v1/files/a/empty.txt?size=0")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-disposition"] == 'attachment; filename="empty.txt"'


async def test_a_missing_file_is_404_in_json(sample: Running) -> None:
    answer = await sample.http.get("/v1/files/missing/a?size=5")
    assert (answer.status_code, reason(answer.json())) == (404, "NOT_FOUND")


async def test_a_download_that_breaks_does_not_look_whole(sample: Running) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        await sample.http.get(f"/v1/files/broken/a?size={MIB}")


async def test_head_of_a_file_is_its_headers(sample: Running) -> None:
    answer = await sample.http.head(f"/v1/files/a/b.bin?size={MIB}")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-disposition"] == 'attachment; filename="b.bin"'


async def test_twenty_megabytes_go_in_as_chunks_in_bounded_memory(sample: Running) -> None:
    tracemalloc.start()
    try:
        answer = await sample.http.put(
            "/v1/files/a/b%20c.css?note=n",
            content=pieces(320),
            headers={"content-type": "text/css"},
        )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    found = answer.json()
    digest = hashlib.sha256()
    async for piece in pieces(320):
        digest.update(piece)
    assert found["path"] == "a/b c.css"
    assert found["note"] == "n"
    assert found["contentType"] == "text/css"
    assert found["size"] == 20 * MIB
    assert found["sha256"] == digest.hexdigest()
    assert found["largest"] <= MIB
    assert peak < 12 * MIB


async def test_an_upload_cannot_run_ahead_of_a_service_that_does_not_read(sample: Running) -> None:
    sent = 0

    async def counted() -> AsyncIterator[bytes]:
        nonlocal sent
        async for piece in pieces(800):
            sent += len(piece)
            yield piece

    putting = asyncio.create_task(sample.http.put("/v1/files/held/a", content=counted()))
    before = -1
    while before != sent or sent == 0:
        before = sent
        await asyncio.sleep(0.3)
    assert sent < 20 * MIB  # socket buffers and one window, not the 50 MiB
    assert sample.service.received == 0
    sample.service.may_read.set()
    answer = await putting
    assert answer.json()["size"] == 800 * 64 * 1024


async def test_an_empty_upload_is_an_empty_file(sample: Running) -> None:
    answer = await sample.http.put("/v1/files/empty", content=b"")
    assert answer.json()["size"] == 0
    assert answer.json()["path"] == "empty"
    assert answer.json()["contentType"] == "application/octet-stream"


async def test_a_services_refusal_answers_before_the_body_has_come(sample: Running) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", sample.port)
    writer.write(
        b"PUT /v1/files/forbidden HTTP/1.1\r\nhost: x\r\ncontent-length: 9999999\r\n\r\nabc"
    )
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
    assert head.startswith(b"HTTP/1.1 403")
    assert b"connection: close" in head
    writer.close()


async def test_a_client_that_sends_all_before_it_reads_still_gets_the_refusal(
    sample: Running,
) -> None:
    answer = await sample.http.put("/v1/files/forbidden", content=pieces(320))
    assert (answer.status_code, reason(answer.json())) == (403, "PERMISSION_DENIED")


async def test_an_aborted_upload_cancels_the_call(sample: Running) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", sample.port)
    writer.write(b"PUT /v1/files/a HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n")
    writer.write(b"x" * 1000)
    await writer.drain()
    await eventually(lambda: sample.service.open_uploads == 1)
    writer.close()
    await eventually(lambda: sample.service.cancelled_uploads == 1)


async def test_a_form_around_the_file_is_refused(sample: Running) -> None:
    answer = await sample.http.put("/v1/files/a", files={"file": b"x"})
    assert answer.status_code == 415
    assert sample.service.received == 0


async def test_an_upload_beyond_the_limit_is_413_and_cancelled() -> None:
    async with running(TranscoderOptions(upload_limit=MIB)) as sample:
        answer = await sample.http.put("/v1/files/a", content=pieces(64))
        assert (answer.status_code, reason(answer.json())) == (413, "BODY_TOO_LARGE")
        await eventually(lambda: sample.service.cancelled_uploads == 1)
        declared = await sample.http.put("/v1/files/a", content=b"x" * (2 * MIB))
        assert declared.status_code == 413


async def test_a_body_that_stops_coming_is_408() -> None:
    async with running(TranscoderOptions(upload_idle=0.3)) as sample:
        reader, writer = await asyncio.open_connection("127.0.0.1", sample.port)
        writer.write(b"PUT /v1/files/a HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc")
        line = await asyncio.wait_for(reader.readline(), 10)
        assert line.startswith(b"HTTP/1.1 408")
        writer.close()
        await eventually(lambda: sample.service.cancelled_uploads == 1)
