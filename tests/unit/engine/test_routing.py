"""Which sandbox and port a request means."""

from __future__ import annotations

import base64
import hashlib

import pytest

from local.sandboxes.model import ENVD_PORT, new_id
from local.sandboxes.routing import Target, signature_expired, signature_fits, target_of


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
        ("sandboxes:3000", ("iabc", "x"), Target("iabc", ENVD_PORT)),
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


def signed(path: str, operation: str, token: str, *more: str) -> str:
    digest = hashlib.sha256(":".join((path, operation, "", token, *more)).encode()).digest()
    return "v1_" + base64.b64encode(digest).rstrip(b"=").decode()


def test_a_signature_fits_its_path_operation_and_token_only() -> None:
    query = {"path": ["/a"], "signature": [signed("/a", "read", "t")]}
    assert signature_fits(query, "GET", "t")
    assert not signature_fits(query, "POST", "t")
    assert not signature_fits(query, "GET", "other")
    assert not signature_fits({**query, "path": ["/b"]}, "GET", "t")
    assert not signature_fits({**query, "signature_expiration": ["9"]}, "GET", "t")
    assert not signature_fits({**query, "signature": ["é"]}, "GET", "t")


def test_an_expiry_is_part_of_the_signature_and_ends_it() -> None:
    query = {
        "path": ["/a"],
        "signature": [signed("/a", "write", "t", "12")],
        "signature_expiration": ["12"],
    }
    assert signature_fits(query, "POST", "t")
    assert signature_expired(query)
    assert signature_expired({"signature_expiration": ["soon"]})
    assert not signature_expired({"signature_expiration": ["99999999999"]})
    assert not signature_expired({})
