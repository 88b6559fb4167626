"""Server streams: formats, errors before and after the first byte, resuming, ending."""

from __future__ import annotations

import asyncio
import functools
import json
from typing import Any

import grpc
import pytest

from gateway.transcoder import TranscoderOptions
from kit.testing import eventually
from tests.unit.gateway.sample.running import Running, running
from tests.unit.gateway.sample.service import add_to_server

SSE = {"accept": "text/event-stream"}


def events(text: str) -> list[dict[str, str]]:
    """The events of an event stream, by field; comments and retries left out."""
    found = []
    for block in text.split("\n\n"):
        lines = [line.partition(": ") for line in block.split("\n") if line and line[0] != ":"]
        if any(name == "data" for name, _, _ in lines):
            found.append({name: value for name, _, value in lines})
    return found


async def test_an_event_has_the_id_and_name_that_the_options_give_it(sample: Running) -> None:
    answer = await sample.http.get("/v1/watch/ok", headers=SSE)
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-accel-buffering"] == "no"
    found = events(answer.text)
    assert [(event["id"], event["event"]) for event in found] == [
        ("1", "text_delta"),
        ("2", "text_delta"),
        ("3", "leaf_added"),
    ]
    assert json.loads(found[0]["data"]) == {"sequence": 1, "textDelta": "line 1\nnext"}


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/x-ndjson", "application/x-ndjson"),
        ("application/jsonl", "application/x-ndjson"),
        ("application/json", "application/json"),
        ("*/*", "application/json"),
        ("", "application/json"),
        ("text/html", "application/json"),
        ("application/json;q=0.5, text/event-stream", "text/event-stream"),
        ("text/event-stream;q=0.1, application/x-ndjson;q=0.9", "application/x-ndjson"),
        ("text/event-stream;q=0, */*", "application/json"),
        ("text/event-stream;q=x", "application/json"),
    ],
)
async def test_accept_chooses_the_format(sample: Running, accept: str, kind: str) -> None:
    answer = await sample.http.get("/v1/watch/ok", headers={"accept": accept})
    assert answer.headers["content-type"] == kind


async def test_lines_and_array_hold_the_same_messages(sample: Running) -> None:
    lines = await sample.http.get("/v1/watch/ok", headers={"accept": "application/x-ndjson"})
    array = await sample.http.get("/v1/watch/ok")
    assert [json.loads(line) for line in lines.text.splitlines()] == array.json()
    assert len(array.json()) == 3


async def test_an_empty_stream_is_an_empty_array(sample: Running) -> None:
    answer = await sample.http.get("/v1/watch/ok?after=3")
    assert answer.json() == []


async def test_last_event_id_wins_over_the_query(sample: Running) -> None:
    headers = {**SSE, "last-event-id": "2"}
    answer = await sample.http.get("/v1/watch/ok?after=0", headers=headers)
    assert [event["id"] for event in events(answer.text)] == ["3"]


async def test_a_resumed_stream_with_nothing_left_tells_the_browser_to_stay_away(
    sample: Running,
) -> None:
    answer = await sample.http.get("/v1/watch/ok", headers={**SSE, "last-event-id": "3"})
    assert answer.status_code == 204


@pytest.mark.parametrize("accept", ["text/event-stream", "application/x-ndjson", "*/*"])
async def test_an_error_before_the_first_byte_keeps_its_status(
    sample: Running, accept: str
) -> None:
    for _ in range(20):  # the end of a call and its metadata race inside gRPC
        answer = await sample.http.get("/v1/watch/refused", headers={"accept": accept})
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["message"] == "no such watch"


async def test_an_error_after_the_first_byte_is_told_in_the_stream(sample: Running) -> None:
    answer = await sample.http.get("/v1/watch/broken", headers=SSE)
    assert answer.status_code == 200
    last = events(answer.text)[-1]
    assert last["event"] == "error"
    status = json.loads(last["data"])
    assert (status["code"], status["message"]) == (9, "too much")
    assert status["details"][0]["reason"] == "FAILED_PRECONDITION"

    lines = await sample.http.get("/v1/watch/broken", headers={"accept": "application/x-ndjson"})
    assert json.loads(lines.text.splitlines()[-1])["error"] == status
    array = await sample.http.get("/v1/watch/broken")
    assert array.json()[-1]["error"] == status


async def test_a_quiet_stream_gets_its_headers_and_heartbeats() -> None:
    async with (
        running(TranscoderOptions(heartbeat=0.05)) as sample,
        sample.http.stream("GET", "/v1/watch/quiet", headers=SSE) as answer,
    ):
        assert answer.status_code == 200
        seen = ""
        async for text in answer.aiter_text():
            seen += text
            if seen.count(": heartbeat\n\n") >= 3:
                break
        assert "data:" not in seen
        assert sample.service.open_watches == 1


def _cancelled(sample: Running, count: int) -> bool:
    return sample.service.cancelled_watches == count


async def test_a_client_that_leaves_cancels_the_call(sample: Running) -> None:
    for number in range(1, 6):
        async with sample.http.stream("GET", "/v1/watch/endless", headers=SSE) as answer:
            assert (await anext(answer.aiter_bytes())) != b""
        await eventually(functools.partial(_cancelled, sample, number))
    await eventually(lambda: sample.service.open_watches == 0)
    await eventually(lambda: sample.transcoder.open_streams == 0)


async def test_no_task_is_left_when_clients_have_left(sample: Running) -> None:
    async with sample.http.stream("GET", "/v1/watch/endless", headers=SSE) as answer:
        await anext(answer.aiter_bytes())
    await eventually(lambda: sample.service.open_watches == 0)

    def ours() -> list[str]:
        names = [repr(task.get_coro()) for task in asyncio.all_tasks()]
        return [name for name in names if "LiveCall" in name or "_beat" in name]

    await eventually(lambda: not ours())


async def test_a_client_that_does_not_read_is_dropped_and_others_go_on() -> None:
    async with running(TranscoderOptions(send_timeout=0.3)) as sample:
        _, writer = await asyncio.open_connection("127.0.0.1", sample.port, limit=1024)
        writer.write(
            b"GET /v1/watch/flood HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n\r\n"
        )
        await writer.drain()
        await eventually(lambda: sample.service.cancelled_watches == 1)
        other = await sample.http.get("/v1/watch/ok", headers=SSE)
        assert len(events(other.text)) == 3
        writer.close()


async def test_draining_ends_streams_with_a_hint_to_come_back(sample: Running) -> None:
    async def watch(accept: str, seen: asyncio.Event) -> str:
        text, headers = "", {"accept": accept}
        async with sample.http.stream("GET", "/v1/watch/endless", headers=headers) as answer:
            async for part in answer.aiter_text():
                text += part
                if "leafAdded" in text:
                    seen.set()
        return text

    kinds = {kind: asyncio.Event() for kind in ("text/event-stream", "application/x-ndjson", "*/*")}
    watching = [asyncio.create_task(watch(kind, seen)) for kind, seen in kinds.items()]
    await asyncio.gather(*(seen.wait() for seen in kinds.values()))
    sample.transcoder.drain()
    sse, lines, array = await asyncio.gather(*watching)
    assert sse.endswith("retry: 1000\n\n")
    assert len(events(sse)) == 3
    assert json.loads(lines.splitlines()[-1])["error"]["code"] == 14
    assert json.loads(array)[-1]["error"]["details"][0]["reason"] == "SERVER_RESTARTING"
    await eventually(lambda: sample.service.open_watches == 0)


async def test_a_stream_that_opens_while_draining_is_sent_elsewhere(sample: Running) -> None:
    async def watch(accept: str) -> Any:
        return await sample.http.get("/v1/watch/opening", headers={"accept": accept})

    kinds = ("text/event-stream", "application/x-ndjson", "*/*")
    opening = [asyncio.create_task(watch(kind)) for kind in kinds]
    await eventually(lambda: sample.service.open_watches == len(kinds))
    sample.transcoder.drain()
    late = [asyncio.create_task(watch(kind)) for kind in kinds]
    for answers in (await asyncio.gather(*opening), await asyncio.gather(*late)):
        sse, *others = answers
        assert (sse.status_code, sse.headers["content-type"]) == (200, "text/event-stream")
        assert sse.text.endswith("retry: 1000\n\n")
        assert not events(sse.text)
        for answer in others:
            assert answer.status_code == 503
            assert answer.json()["details"][0]["reason"] == "SERVER_RESTARTING"
    await eventually(lambda: sample.service.open_watches == 0)


async def test_a_stream_waits_for_a_service_that_restarts(sample: Running) -> None:
    await sample.grpc_server.stop(None)
    watching = asyncio.create_task(sample.http.get("/v1/watch/ok", headers=SSE))
    unary = await sample.http.get("/v1/items/a")  # does not wait: its client can try again
    assert unary.status_code == 503
    again = grpc.aio.server()
    add_to_server(sample.service, again)
    again.add_insecure_port(f"127.0.0.1:{sample.grpc_port}")
    await again.start()
    answer = await watching
    assert len(events(answer.text)) == 3
    await again.stop(None)


async def test_a_stream_of_a_service_that_stays_away_is_503() -> None:
    async with running(TranscoderOptions(connect_wait=0.2)) as sample:
        await sample.grpc_server.stop(None)
        answer = await sample.http.get("/v1/watch/ok", headers=SSE)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


async def test_head_of_a_stream_opens_it_and_closes_it_again(sample: Running) -> None:
    answer = await sample.http.head("/v1/watch/endless", headers=SSE)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == "text/event-stream"
    await eventually(lambda: sample.service.open_watches == 0)
    refused = await sample.http.head("/v1/watch/refused", headers=SSE)
    assert refused.status_code == 404


async def test_both_sides_can_stream_json_messages(sample: Running) -> None:
    def lines() -> Any:
        return b'{"displayName": "a"}\n\n{"displayName": "b"}\n{"displayName": "c"}'

    headers = {"content-type": "application/x-ndjson", "accept": "application/x-ndjson"}
    answer = await sample.http.post("/v1/chat", content=lines(), headers=headers)
    assert [json.loads(line)["displayName"] for line in answer.text.splitlines()] == ["A", "B", "C"]


async def test_a_bad_line_in_a_streamed_request_is_named(sample: Running) -> None:
    headers = {"content-type": "application/x-ndjson", "accept": "application/x-ndjson"}
    answer = await sample.http.post("/v1/chat", content=b'{"nope": 1}\n', headers=headers)
    assert "nope" in answer.text
    assert answer.status_code == 400 or '"error"' in answer.text
