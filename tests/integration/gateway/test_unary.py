"""Calls of one message each way, over HTTP and gRPC sockets."""

from __future__ import annotations

import base64
import gzip
from typing import Any

import pytest

from gateway.transcoder import TranscoderOptions
from tests.unit.gateway.sample.contract import new
from tests.unit.gateway.sample.running import Running, running


def reason(body: dict[str, Any]) -> str:
    """The reason in the ErrorInfo that every error has."""
    found = [item for item in body["details"] if item["@type"].endswith("google.rpc.ErrorInfo")]
    assert len(found) == 1, body
    assert found[0]["domain"]
    return str(found[0]["reason"])


async def test_a_get_becomes_a_call_and_its_response_json(sample: Running) -> None:
    answer = await sample.http.get("/v1/shelves/s%201/items/a%2Fb?full=true")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "name": "a/b",
        "displayName": "s 1",
        "colour": "unspecified",
        "revision": "r1",
        "labels": {},
        "big": "0",
    }
    assert sample.service.asked == [new("GetItemRequest", name="a/b", shelf="s 1", full=True)]


async def test_a_response_body_can_be_one_field(sample: Running) -> None:
    answer = await sample.http.get("/v1/item-names?pageSize=2")
    assert [item["big"] for item in answer.json()] == ["9007199254740992", "9007199254740993"]


async def test_every_field_of_a_message_goes_there_and_back(sample: Running) -> None:
    body = {"fInt64": "-9", "mBool": {"true": {"count": 1}}, "wTime": "2026-01-31T12:00:00.120Z"}
    answer = await sample.http.post("/v1/echo", json=body)
    found = answer.json()
    assert found["fInt64"] == "-9"
    assert found["mBool"] == {"true": {"displayName": "", "count": 1, "tags": []}}
    assert found["wTime"] == "2026-01-31T12:00:00.120Z"


@pytest.mark.parametrize("body", [b"", b"{}", b" \n"])
async def test_an_empty_body_counts_as_an_empty_object(sample: Running, body: bytes) -> None:
    for headers in ({}, {"content-type": "application/json"}):
        if body == b"{}" and not headers:
            continue
        answer = await sample.http.post("/v1/items/a:cancel", content=body, headers=headers)
        assert answer.status_code == 200
        assert answer.json() == {"name": "items/a", "reason": ""}


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("Application/JSON; charset=UTF-8", 200),
        ('application/json; charset="utf-8"', 200),
        ("application/merge-patch+json", 200),
        ("application/json; charset=latin-1", 415),
        ("application/x-www-form-urlencoded", 415),
        ("text/plain", 415),
        ("multipart/form-data; boundary=x", 415),
        ("", 415),
    ],
)
async def test_a_body_must_say_that_it_is_json(
    sample: Running, content_type: str, status: int
) -> None:
    headers = {"content-type": content_type} if content_type else {}
    answer = await sample.http.post(
        "/v1/items/a:cancel", content=b'{"reason":"r"}', headers=headers
    )
    assert answer.status_code == status
    if status == 415:
        assert reason(answer.json()) == "UNSUPPORTED_MEDIA_TYPE"
        assert "application/json" in answer.json()["message"]
        assert not sample.service.asked


async def test_a_compressed_body_is_refused(sample: Running) -> None:
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    answer = await sample.http.post("/v1/echo", content=gzip.compress(b"{}"), headers=headers)
    assert answer.status_code == 415


async def test_a_body_where_there_is_none_is_refused_not_ignored(sample: Running) -> None:
    answer = await sample.http.request("DELETE", "/v1/items/a", json={"force": True})
    assert answer.status_code == 415
    assert not sample.service.asked
    answer = await sample.http.request("DELETE", "/v1/items/a", json={})
    assert answer.json() == {}


async def test_broken_json_and_wrong_fields_are_400_with_the_field(sample: Running) -> None:
    headers = {"content-type": "application/json"}
    answer = await sample.http.post("/v1/echo", content=b'{"fInt32": ', headers=headers)
    assert answer.status_code == 400
    assert reason(answer.json()) == "INVALID_ARGUMENT"
    answer = await sample.http.post("/v1/echo", json={"leaf": {"displayName": 5}})
    assert answer.status_code == 400
    [bad] = [d for d in answer.json()["details"] if d["@type"].endswith("BadRequest")]
    assert bad["fieldViolations"][0]["field"] == "leaf.displayName"
    assert not sample.service.asked


async def test_a_body_beyond_the_limit_is_413_whether_declared_or_not() -> None:
    async def endless() -> Any:
        for _ in range(64):
            yield b'{"reason": "' + b"x" * 1024

    async with running(TranscoderOptions(json_limit=4096)) as sample:
        headers = {"content-type": "application/json"}
        for content in (b"x" * 5000, endless()):
            answer = await sample.http.post("/v1/items/a:cancel", content=content, headers=headers)
            assert answer.status_code == 413
            assert reason(answer.json()) == "BODY_TOO_LARGE"
            assert "4096" in answer.json()["message"]
        assert not sample.service.asked


async def test_unknown_routes_and_methods_are_json_too(sample: Running) -> None:
    answer = await sample.http.get("/v1/nope")
    assert (answer.status_code, reason(answer.json())) == (404, "ROUTE_NOT_FOUND")
    answer = await sample.http.post("/v1/items/a", json={})
    assert (answer.status_code, reason(answer.json())) == (405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"] == "DELETE, GET, HEAD, OPTIONS, PATCH, PUT, REPORT"
    answer = await sample.http.post("/sample.v1.Samples/Internal", json={})
    assert answer.status_code == 404


async def test_options_lists_the_methods_and_head_is_a_get_without_body(sample: Running) -> None:
    answer = await sample.http.options("/v1/items")
    assert (answer.status_code, answer.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST")
    get, head = [await sample.http.request(method, "/v1/items/a") for method in ("GET", "HEAD")]
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["content-length"] == get.headers["content-length"]
    assert (await sample.http.head("/v1/nope")).status_code == 404
    assert (await sample.http.options("/v1/nope")).status_code == 404


async def test_an_etag_saves_the_body(sample: Running) -> None:
    first = await sample.http.get("/v1/items/a")
    assert first.headers["etag"] == '"r1"'
    assert first.headers["cache-control"] == "private, no-cache"
    for held in ('"r1"', 'W/"r1"', '"r0", "r1"', "*"):
        again = await sample.http.get("/v1/items/a", headers={"if-none-match": held})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == '"r1"'
    other = await sample.http.get("/v1/items/a", headers={"if-none-match": '"r2"'})
    assert other.status_code == 200


async def test_answers_are_not_for_caches_and_not_to_be_sniffed(sample: Running) -> None:
    answer = await sample.http.post("/v1/items", json={})
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    failed = await sample.http.get("/v1/nope")
    assert failed.headers["cache-control"] == "no-store"


async def test_identity_request_id_and_metadata_reach_the_service(sample: Running) -> None:
    answer = await sample.http.get(
        "/v1/inspect",
        headers={
            "authorization": "Bearer abc",
            "x-request-id": "req-1",
            "grpc-metadata-x-mine": "yes",
            "grpc-metadata-x-raw-bin": base64.b64encode(b"\x00\xff").decode(),
            "grpc-metadata-authorization": "Bearer forged",
            "grpc-metadata-x-request-id": "forged",
            "grpc-metadata-x-forwarded-for": "6.6.6.6",
            "grpc-metadata-grpc-timeout": "1S",
            "x-forwarded-for": "6.6.6.6",
            "cookie": "secret=1",
        },
    )
    found = answer.json()["metadata"]
    found.pop("user-agent")
    assert found == {
        "authorization": "Bearer abc",
        "x-request-id": "req-1",
        "x-mine": "yes",
        "x-raw-bin": "00ff",
        "x-forwarded-for": "127.0.0.1",
    }
    assert answer.headers["x-request-id"] == "req-1"
    assert answer.headers["grpc-metadata-x-early"] == "one"
    assert answer.headers["grpc-metadata-x-bin-bin"] == "AAE="
    assert answer.headers["grpc-trailer-x-late"] == "two"


@pytest.mark.parametrize("given", ["", "has space", "x" * 129, "a\tb", "é".encode("latin-1")])
async def test_an_odd_request_id_is_replaced(sample: Running, given: Any) -> None:
    answer = await sample.http.get("/v1/inspect", headers=[("x-request-id", given)])
    assert answer.status_code == 200
    made = answer.headers["x-request-id"]
    assert len(made) == 32
    assert answer.json()["metadata"]["x-request-id"] == made


async def test_deadlines_come_from_the_method_and_from_the_client(sample: Running) -> None:
    async def left(method: str, **headers: str) -> float:
        answer = await sample.http.request(method, "/v1/inspect", headers=headers)
        return float(answer.json()["secondsLeft"])

    assert 3 < await left("GET") <= 5.5
    assert 60 < await left("POST") <= 75.5
    assert 20 < await left("GET", **{"grpc-timeout": "30S"}) <= 30.5
    assert await left("GET", **{"grpc-timeout": "900m"}) <= 0.95
    assert await left("GET", **{"grpc-timeout": "99H"}) < 4000  # gRPC rounds long ones up
    answer = await sample.http.get("/v1/inspect", headers={"grpc-timeout": "soon"})
    assert answer.status_code == 400
    assert "Grpc-Timeout" in answer.json()["message"]


async def test_a_header_that_is_no_metadata_is_400(sample: Running) -> None:
    for name in ("authorization", "grpc-metadata-x"):
        answer = await sample.http.get("/v1/inspect", headers=[(name.encode(), "é".encode())])
        assert answer.status_code == 400
    answer = await sample.http.get("/v1/inspect", headers={"grpc-metadata-x-bin": "!"})
    assert answer.status_code == 400


async def test_an_idempotency_key_goes_into_the_field_that_the_options_name(
    sample: Running,
) -> None:
    await sample.http.post("/v1/items", json={}, headers={"idempotency-key": "k1"})
    assert sample.service.asked[0].key == "k1"


async def test_a_unary_http_body_is_bytes_with_the_headers_of_a_file(sample: Running) -> None:
    answer = await sample.http.get("/v1/render/me")
    assert answer.content == b"<b>me</b>"
    assert answer.headers["content-type"] == "text/html"
    assert answer.headers["content-security-policy"] == "sandbox"
    assert answer.headers["content-disposition"] == "attachment"
