"""Which sandbox and port a request means."""

from __future__ import annotations

import pytest

from local.sandboxes.model import ENVD_PORT, new_id
from local.sandboxes.targets import BadTargetError, Target, target_of


@pytest.mark.parametrize(
    ("host", "headers", "expected"),
    [
        ("8000-iabc.localhost:3000", ("", ""), Target("iabc", 8000)),
        ("8000-IABC.Localhost", ("", ""), Target("iabc", 8000)),
        ("49983-iabc.sandboxes.example.com", ("", ""), Target("iabc", ENVD_PORT)),
        ("8000-iabc.localhost", ("iother", "49983"), Target("iabc", 8000)),
        ("localhost:3000", ("iabc", "49983"), Target("iabc", ENVD_PORT)),
        ("127.0.0.1", ("iabc", "8000"), Target("iabc", 8000)),
        ("sandboxes:3000", ("iabc", ""), Target("iabc", ENVD_PORT)),
        ("localhost:3000", ("", ""), None),
        ("x-iabc.localhost", ("", ""), None),
        ("8000-.localhost", ("", ""), None),
        ("evil.8000-iabc.localhost", ("", ""), None),
    ],
)
def test_a_host_name_says_it_first_then_the_headers(
    host: str, headers: tuple[str, str], expected: Target | None
) -> None:
    assert target_of(host, *headers) == expected


def test_a_new_id_can_stand_in_a_host_name() -> None:
    ids = {new_id() for _ in range(200)}
    assert len(ids) == 200
    for one in ids:
        assert target_of(f"1-{one}.localhost", "", "") == Target(one, 1)


@pytest.mark.parametrize(
    "host",
    [
        "8000-iabc.localhost.:3000",
        "8000-IaBc.LOCALHOST:3000",
        "8000-iabc.",
    ],
)
def test_the_same_host_written_otherwise_is_the_same_sandbox(host: str) -> None:
    assert target_of(host, "iother", "8000") == Target("iabc", 8000)


@pytest.mark.parametrize(
    "host",
    [
        "user@8000-iabc.localhost",
        "8000-iabc.localhost@evil.example",
        "[8000-iabc.localhost]",
        "[::1]:3000",
        "8000-iabc",
        "8000-iabc:3000",
        " 8000-iabc.localhost",
        "8000-ia_bc.localhost",
        "8000-iabc-9000-iother.localhost",
        "http://8000-iabc.localhost",
        "８０００-iabc.localhost",
        "8000-iabc\N{IDEOGRAPHIC FULL STOP}localhost",
    ],
)
def test_what_only_resembles_a_sandboxs_host_is_none(host: str) -> None:
    assert target_of(host, "", "") is None


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("0-iabc.localhost", ""),
        ("65536-iabc.localhost", ""),
        ("99999999999999999999-iabc.localhost", ""),
        ("localhost", "0"),
        ("localhost", "x"),
        ("localhost", "-1"),
        ("localhost", "²"),
        ("localhost", "80 "),
    ],
)
def test_a_port_that_cannot_be_one_is_refused(host: str, port: str) -> None:
    with pytest.raises(BadTargetError, match="1 to 65535"):
        target_of(host, "iabc", port)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("host", ("a" * 256, "", "")),
        ("host", ("8000-iabc." + "a" * 246, "", "")),
        ("e2b-sandbox-id", ("localhost", "i" * 256, "")),
        ("e2b-sandbox-port", ("8000-iabc.localhost", "", "1" * 256)),
    ],
)
def test_what_is_longer_than_any_name_is_refused_and_not_remembered(
    header: str, said: tuple[str, str, str]
) -> None:
    with pytest.raises(BadTargetError, match=f"{header} is longer than 255 bytes"):
        target_of(*said)


def test_a_name_may_be_as_long_as_names_can_be() -> None:
    assert target_of("8000-iabc." + "a" * 245, "", "") == Target("iabc", 8000)
