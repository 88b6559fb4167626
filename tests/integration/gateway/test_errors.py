"""How a failed call is answered: the status table, the details, and what does not leak."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.gateway.sample.running import Running

TABLE = [
    (1, "CANCELLED", 499),
    (3, "INVALID_ARGUMENT", 400),
    (4, "DEADLINE_EXCEEDED", 504),
    (5, "NOT_FOUND", 404),
    (6, "ALREADY_EXISTS", 409),
    (7, "PERMISSION_DENIED", 403),
    (9, "FAILED_PRECONDITION", 400),
    (10, "ABORTED", 409),
    (11, "OUT_OF_RANGE", 400),
    (12, "UNIMPLEMENTED", 501),
    (16, "UNAUTHENTICATED", 401),
]


def detail(body: dict[str, Any], name: str) -> dict[str, Any]:
    """The one detail of a type."""
    [found] = [item for item in body["details"] if item["@type"].endswith(f"google.rpc.{name}")]
    return dict(found)


async def fail(sample: Running, **how: Any) -> Any:
    return await sample.http.post("/v1/fail", json=how)


@pytest.mark.parametrize(("code", "name", "http"), TABLE)
async def test_every_code_has_its_http_status(
    sample: Running, code: int, name: str, http: int
) -> None:
    answer = await fail(sample, code=code, message="as it is")
    assert answer.status_code == http
    body = answer.json()
    assert (body["code"], body["message"]) == (code, "as it is")
    info = detail(body, "ErrorInfo")
    assert (info["reason"], info["domain"]) == (name, "sandwright")
    assert ("www-authenticate" in answer.headers) == (code == 16)


@pytest.mark.parametrize("code", [2, 13, 15])
async def test_what_only_developers_should_read_is_replaced(sample: Running, code: int) -> None:
    answer = await fail(sample, code=code, message="SELECT secret", details=["info"])
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "ITS_REASON" not in answer.text
    assert detail(answer.json(), "RequestInfo")["requestId"] == answer.headers["x-request-id"]


async def test_a_crash_does_not_leak(sample: Running) -> None:
    answer = await fail(sample, crash=True)
    assert answer.status_code == 500
    assert "42" not in answer.json()["message"]
    assert "secret" not in answer.text


async def test_the_services_own_error_info_is_kept(sample: Running) -> None:
    body = (await fail(sample, code=9, message="m", details=["info"])).json()
    info = detail(body, "ErrorInfo")
    assert (info["reason"], info["domain"]) == ("ITS_REASON", "elsewhere")


async def test_field_violations_are_named_as_in_json(sample: Running) -> None:
    body = (await fail(sample, code=3, message="m", details=["bad_request"])).json()
    [violation] = detail(body, "BadRequest")["fieldViolations"]
    assert violation["field"] == "someList[3].displayName"
    assert detail(body, "ErrorInfo")["reason"] == "INVALID_ARGUMENT"


async def test_what_grpc_itself_says_of_its_limits_is_replaced(sample: Running) -> None:
    answer = await fail(sample, code=8, message="received metadata size exceeds hard limit")
    assert answer.status_code == 429
    body = answer.json()
    assert (body["code"], body["message"]) == (8, "a limit of the service is exceeded")
    assert detail(body, "ErrorInfo")["reason"] == "RESOURCE_EXHAUSTED"
    body = (await fail(sample, code=8, message="three at most", details=["info"])).json()
    assert body["message"] == "three at most"


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer " + "a" * 20_000},
        {"authorization": "Bearer " + "a" * 4_000, "grpc-metadata-x": "b" * 4_000},
        {f"grpc-metadata-x{number}": "" for number in range(250)},
    ],
    ids=["one", "two together", "many"],
)
async def test_more_metadata_than_grpc_takes_is_431(
    sample: Running, headers: dict[str, str]
) -> None:
    answer = await sample.http.get("/v1/inspect", headers=headers)
    assert answer.status_code == 431
    assert detail(answer.json(), "ErrorInfo")["reason"] == "HEADERS_TOO_LARGE"
    assert "7168" in answer.json()["message"]


async def test_the_largest_metadata_is_taken_every_time(sample: Running) -> None:
    headers = {"authorization": "Bearer " + "a" * 6_900}
    for _ in range(30):  # above its lower limit gRPC refuses by chance
        answer = await sample.http.get("/v1/inspect", headers=headers)
        assert answer.status_code == 200


async def test_retry_info_becomes_retry_after_rounded_up(sample: Running) -> None:
    answer = await fail(sample, code=8, message="m", details=["retry"])
    assert answer.headers["retry-after"] == "7"


async def test_a_service_that_is_gone_is_503_without_its_address(sample: Running) -> None:
    await sample.grpc_server.stop(None)
    answer = await sample.http.get("/v1/items/a")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert "127.0.0.1" not in answer.text


async def test_an_rpc_that_the_server_does_not_know_is_501(sample: Running) -> None:
    answer = await fail(sample, code=12, message="not here")
    assert answer.status_code == 501


async def test_a_deadline_that_passes_is_504(sample: Running) -> None:
    answer = await sample.http.get(
        "/v1/watch/quiet", headers={"grpc-timeout": "1u", "accept": "text/event-stream"}
    )
    assert answer.status_code == 504
    assert detail(answer.json(), "ErrorInfo")["reason"] == "DEADLINE_EXCEEDED"
