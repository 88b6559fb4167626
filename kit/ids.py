"""Ids: a prefix that says what it names, and 26 characters that sort by time of creation."""

from __future__ import annotations

import uuid_utils

# Crockford's alphabet in lower case: no letter that reads as a digit, and safe in host names.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(prefix: str) -> str:
    """A new id such as ``prj-01jd3b0v9kq8w5s3f6m2x7c4ha``: a UUIDv7 (RFC 9562) in base 32."""
    number = uuid_utils.uuid7().int
    digits = [_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5)]
    return f"{prefix}-{''.join(digits)}"
