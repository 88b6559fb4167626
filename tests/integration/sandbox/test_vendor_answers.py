"""Each way in which a vendor fails has a reason of its own, and a verdict of the connection test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from kit.errors import Unavailable
from services.sandbox.e2b_vendor import E2bAccess, E2bVendor
from services.sandbox.verify import verify
from tests.fixtures.postgres import DatabaseUrls
from tests.fixtures.projects import ProjectsService
from tests.fixtures.sandbox import running_sandboxes

KEY = "a-key-nobody-may-see"


@dataclass(frozen=True)
class Failure:
    """How a vendor answers who wants a sandbox, and what becomes of that."""

    status: int
    message: str
    reason: str
    retry_after: float | None
    verdict: str
    wait: str = ""


FULL = "you have reached the maximum number of concurrent E2B sandboxes (20)"
FAILURES = {
    "rate limit": Failure(429, "slow down", "SANDBOX_VENDOR_BUSY", 7.0, "rate limit", "7"),
    "rate limit without a time": Failure(429, "slow", "SANDBOX_VENDOR_BUSY", 2.0, "rate limit"),
    "rate limit with a date": Failure(
        429, "slow", "SANDBOX_VENDOR_BUSY", 2.0, "rate limit", "Wed, 21 Oct 2026 07:28:00 GMT"
    ),
    "quota": Failure(429, FULL, "SANDBOX_VENDOR_QUOTA", 30.0, "quota is reached"),
    "wrong key": Failure(401, "no", "SANDBOX_VENDOR_REFUSED", 30.0, "E2B_API_KEY"),
    "no template": Failure(
        404, "no such", "SANDBOX_TEMPLATE_MISSING", None, "SANDBOX_E2B_TEMPLATE"
    ),
    "a template of others": Failure(
        403, "no access", "SANDBOX_TEMPLATE_MISSING", None, "SANDBOX_E2B_TEMPLATE"
    ),
    "server error": Failure(500, "oh", "SANDBOX_VENDOR_FAILED", 5.0, "vendor failed"),
    "busy": Failure(503, "full", "SANDBOX_VENDOR_BUSY", 3.0, "rate limit", "3"),
    "silence": Failure(0, "", "SANDBOX_VENDOR_LATE", 1.0, "SANDBOX_E2B_TIMEOUT_SECONDS"),
}


@asynccontextmanager
async def failing(failure: Failure) -> AsyncIterator[str]:
    """The URL of a vendor that has no sandboxes and makes none."""
    over = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked = head.startswith(b"POST ")
        if asked and not failure.status:
            await over.wait()
        body = json.dumps({"code": failure.status, "message": failure.message} if asked else [])
        lines = [
            f"HTTP/1.1 {failure.status if asked else 200} Said",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            "Connection: close",
            *([f"Retry-After: {failure.wait}"] if asked and failure.wait else []),
        ]
        writer.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        over.set()
        server.close()


def at(url: str, timeout_seconds: float = 1.0) -> E2bVendor:
    return E2bVendor(E2bAccess(KEY, url, url, "", "my-template", timeout_seconds))


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES.keys())
async def test_each_failure_has_its_reason_its_time_and_its_verdict(
    failure: Failure, capfd: pytest.CaptureFixture[str]
) -> None:
    async with failing(failure) as url:
        vendor = at(url)
        with pytest.raises(Unavailable) as found:
            await vendor.create({}, 60, "once")
        assert (found.value.reason, found.value.retry_after) == (
            failure.reason,
            failure.retry_after,
        )
        assert await verify(vendor) is False
    said = capfd.readouterr()
    assert failure.verdict in said.out.splitlines()[-1]
    assert KEY not in said.out + said.err + found.value.message


async def test_a_host_that_no_name_server_knows_is_told_apart(
    capfd: pytest.CaptureFixture[str],
) -> None:
    vendor = at("http://nowhere.invalid", 20.0)
    with pytest.raises(Unavailable) as found:
        await vendor.list({})
    assert found.value.reason == "SANDBOX_VENDOR_UNKNOWN"
    assert await verify(vendor) is False
    assert "host name is unknown" in capfd.readouterr().out.splitlines()[-1]


@pytest.mark.parametrize("name", ["rate limit", "quota", "no template"])
async def test_who_wants_a_sandbox_is_told_why_there_is_none(
    sandbox_urls: DatabaseUrls, projects_service: ProjectsService, name: str
) -> None:
    failure = FAILURES[name]
    async with (
        failing(failure) as url,
        running_sandboxes(sandbox_urls, projects_service, url) as service,
    ):
        user = await projects_service.user()
        with pytest.raises(Unavailable) as found:
            await service.as_user(user).create(await user.new_project())
        assert (found.value.reason, found.value.retry_after) == (
            failure.reason,
            failure.retry_after,
        )
