"""Signed URLs: which sandbox they are for, and until when."""

from __future__ import annotations

import base64
import hashlib

from local.sandboxes.routing import signature_expired, signature_fits


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
