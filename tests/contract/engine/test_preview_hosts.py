"""Who reaches which sandbox, what the proxy itself answers, and what stays apart."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from e2b import AsyncSandbox

from tests.fixtures.engine import RunningEngine
from tests.fixtures.previews import Heard, Talk, obey, say

NAVIGATION = ("Sec-Fetch-Mode: navigate", "Accept: text/html,*/*", "User-Agent: Mozilla/5.0")
PREFLIGHT = (
    "Origin: https://app.example",
    "Access-Control-Request-Method: PUT",
    "Access-Control-Request-Headers: x-one, x-two",
)
TOKEN = "Sandbox is secured with traffic access token. "


@pytest.fixture
async def talk(engine: RunningEngine) -> AsyncIterator[Talk]:
    made = await Talk.begin(engine.port)
    yield made
    await made.close()


@pytest.fixture
async def other(engine: RunningEngine) -> AsyncIterator[AsyncSandbox]:
    """A neighbour that serves, and is not to be reached."""
    made = await AsyncSandbox.create(timeout=120, **engine.sdk)
    await obey(made)
    yield made
    await made.kill()


@pytest.mark.parametrize(
    "host",
    ["8000-{id}.localhost", "8000-{ID}.LocalHost:3000", "8000-{id}.localhost.", "8000-{id}.x:1"],
)
async def test_a_sandbox_is_reached_by_all_spellings_of_its_host(
    sandbox: AsyncSandbox, talk: Talk, host: str
) -> None:
    await obey(sandbox)
    name = host.format(id=sandbox.sandbox_id, ID=sandbox.sandbox_id.upper())
    assert (await talk.get(name, "/")).status == 200


async def test_nothing_that_a_page_can_say_leads_from_its_host_to_another_sandbox(
    sandbox: AsyncSandbox, other: AsyncSandbox, talk: Talk
) -> None:
    there = other.get_host(8000)
    for headers in (
        (f"E2b-Sandbox-Id: {other.sandbox_id}", "E2b-Sandbox-Port: 8000"),
        (f"X-Forwarded-Host: {there}", f"Forwarded: host={there}"),
        (f"X-Original-Host: {there}", f"X-Host: {there}"),
        (f"Origin: http://{there}", f"Referer: http://{there}/"),
    ):
        heard = await talk.get(sandbox.get_host(8000), "/", *headers)
        assert heard.status == 502
        assert heard.json()["sandboxId"] == sandbox.sandbox_id


@pytest.mark.parametrize(
    "host",
    ["x@{there}", "{there}@{here}", "[{there}]", "{here},{there}", "{here} {there}", "//{there}"],
)
async def test_what_only_resembles_a_host_leads_to_no_sandbox(
    sandbox: AsyncSandbox, other: AsyncSandbox, talk: Talk, host: str
) -> None:
    name = host.format(here=sandbox.get_host(8000), there=other.get_host(8000))
    heard = await talk.get(name, "/secret")
    assert b'"head"' not in heard.body
    assert heard.status in (400, 401, 404, 502)


@pytest.mark.parametrize("port", ["0", "65536", "99999999999"])
async def test_a_port_that_cannot_be_one_is_named(
    sandbox: AsyncSandbox, talk: Talk, port: str
) -> None:
    heard = await talk.get(f"{port}-{sandbox.sandbox_id}.localhost", "/")
    assert heard.status == 400
    assert b"Invalid sandbox port: it must be 1 to 65535" in heard.body


async def test_cookies_are_their_hosts_alone(sandbox: AsyncSandbox, talk: Talk) -> None:
    await obey(sandbox)
    answer = (
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
        b"Set-Cookie: a=domain=x; Domain=localhost; Path=/; HttpOnly\r\n"
        b"Set-Cookie: b=2;DOMAIN = .localhost ;Max-Age=9\r\n"
        b"Set-Cookie: c=3; Path=/domain; SameSite=Lax\r\n\r\n"
    )
    heard = await talk.get(sandbox.get_host(8000), say(answer))
    assert [value for name, value in heard.headers if name == "set-cookie"] == [
        "a=domain=x; Path=/; HttpOnly",
        "b=2;Max-Age=9",
        "c=3; Path=/domain; SameSite=Lax",
    ]


async def test_a_server_answers_for_other_origins_itself(sandbox: AsyncSandbox, talk: Talk) -> None:
    await obey(sandbox)
    preflight = await talk.get(sandbox.get_host(8000), "/", *PREFLIGHT, method="OPTIONS")
    assert preflight.status == 200
    assert (
        "Access-Control-Request-Headers: x-one, x-two".lower() in preflight.json()["head"].lower()
    )
    assert preflight.header("access-control-allow-origin") is None
    plain = await talk.get(sandbox.get_host(8000), "/", "Origin: https://app.example")
    assert plain.header("access-control-allow-origin") is None


def is_page(heard: Heard, title: str) -> bool:
    return heard.header("content-type") == "text/html; charset=utf-8" and (
        f"<h1>{title}</h1>" in heard.body.decode()
    )


async def refused(
    talk: Talk, host: str, expected: dict[str, object], title: str, *headers: str
) -> None:
    """The vendor's answer: JSON for programs, a page for people, readable from any origin."""
    heard = await talk.get(host, "/", *headers)
    assert heard.status == expected["code"]
    assert heard.json() == expected
    assert heard.header("content-type") == "application/json; charset=utf-8"
    assert heard.header("access-control-allow-origin") == "*"
    page = await talk.get(host, "/", *headers, *NAVIGATION)
    assert page.status == expected["code"]
    assert is_page(page, title)
    assert page.header("cache-control") == "no-store"
    preflight = await talk.get(host, "/", *headers, *PREFLIGHT, method="OPTIONS")
    assert preflight.status == 204
    assert preflight.header("access-control-allow-headers") == "x-one, x-two"
    alone = await talk.get(host, "/", *headers, method="HEAD")
    assert (alone.status, alone.body) == (expected["code"], b"")


async def test_a_closed_port_is_refused_in_the_vendors_words(
    sandbox: AsyncSandbox, talk: Talk
) -> None:
    expected = {
        "sandboxId": sandbox.sandbox_id,
        "message": "The sandbox is running but port is not open",
        "port": 8000,
        "code": 502,
    }
    await refused(talk, sandbox.get_host(8000), expected, "Port 8000 is not open")


async def test_an_unknown_and_a_paused_sandbox_are_not_found_in_the_vendors_words(
    sandbox: AsyncSandbox, talk: Talk
) -> None:
    def expected(sandbox_id: str) -> dict[str, object]:
        return {"sandboxId": sandbox_id, "message": "The sandbox was not found", "code": 502}

    await refused(talk, "8000-i123.localhost", expected("i123"), "Sandbox not found")
    await sandbox.pause()
    name = sandbox.sandbox_id
    await refused(talk, sandbox.get_host(8000), expected(name), "Sandbox paused")
    assert not await sandbox.is_running()


async def test_private_traffic_without_its_token_is_refused_in_the_vendors_words(
    engine: RunningEngine, talk: Talk
) -> None:
    private = await AsyncSandbox.create(
        timeout=60, network={"allow_public_traffic": False}, **engine.sdk
    )
    await obey(private)
    host, name = private.get_host(8000), "e2b-traffic-access-token"
    expected = {"sandboxId": private.sandbox_id, "code": 403}
    await refused(
        talk,
        host,
        {**expected, "message": f"{TOKEN}Token header '{name}' is missing"},
        "Traffic access token missing",
    )
    await refused(
        talk,
        host,
        {**expected, "message": f"{TOKEN}Provided token in header '{name}' is invalid"},
        "Wrong traffic access token",
        f"{name}: wrong\xe9",
    )
    right = f"{name}: {private.traffic_access_token}"
    told = (await talk.get(host, "/", right)).json()
    assert private.traffic_access_token not in told["head"]
    # A connection that one with the token has opened is kept, and not for one without.
    assert (await talk.get(host, "/")).status == 403
    assert (await talk.get(host, "/", right)).json()["connection"] == told["connection"]
    await private.kill()


async def test_who_may_not_use_a_sandbox_does_not_wake_it(
    engine: RunningEngine, talk: Talk
) -> None:
    private = await AsyncSandbox.create(
        timeout=60,
        network={"allow_public_traffic": False},
        lifecycle={"on_timeout": "pause", "auto_resume": True},
        **engine.sdk,
    )
    await obey(private)
    await private.pause()
    assert (await talk.get(private.get_host(8000), "/")).status == 403
    assert (await private.get_info()).state == "paused"
    right = f"e2b-traffic-access-token: {private.traffic_access_token}"
    assert (await talk.get(private.get_host(8000), "/", right)).status == 200
    await private.kill()


@pytest.mark.parametrize(
    ("headers", "page"),
    [
        ((), False),
        (("User-Agent: Mozilla/5.0 Chrome/58",), True),
        (("User-Agent: Mozilla/5.0", "Accept: text/html"), True),
        (("User-Agent: Mozilla/5.0", "Accept: application/json"), False),
        (("User-Agent: Mozilla/5.0", "Sec-Fetch-Mode: cors", "Accept: */*"), False),
        (("User-Agent: Mozilla/5.0", "Sec-Fetch-Mode: same-origin"), False),
        (("User-Agent: Mozilla/5.0", "X-Requested-With: XMLHttpRequest"), False),
        (
            (
                "User-Agent: Mozilla/5.0",
                "Sec-Fetch-Mode: navigate",
                "X-Requested-With: XMLHttpRequest",
            ),
            True,
        ),
    ],
)
async def test_only_who_looks_at_it_gets_a_page(
    talk: Talk, headers: tuple[str, ...], page: bool
) -> None:
    heard = await talk.get("8000-i123.localhost", "/", *headers)
    assert is_page(heard, "Sandbox not found") is page


async def test_a_page_shows_what_was_asked_for_as_text(talk: Talk) -> None:
    markup = "<script>alert(1)</script>"
    heard = await talk.get(
        "localhost", "/", f"E2b-Sandbox-Id: {markup}", "E2b-Sandbox-Port: 80", *NAVIGATION
    )
    assert heard.status == 502
    assert "<script>" not in heard.body.decode()
    assert "&lt;script&gt;" in heard.body.decode()
