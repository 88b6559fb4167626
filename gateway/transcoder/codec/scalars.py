"""Scalar fields: one function to JSON and one from it, chosen by type."""

from __future__ import annotations

import base64
import binascii
import math
import re
import struct
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor

from gateway.transcoder.codec.enums import accepted_names, json_names
from gateway.transcoder.codec.fields import enum_of
from gateway.transcoder.codec.interface import JsonError

Convert = Callable[[Any], Any]

_F = FieldDescriptor
_SIGNED_32 = {_F.TYPE_INT32, _F.TYPE_SINT32, _F.TYPE_SFIXED32}
_UNSIGNED_32 = {_F.TYPE_UINT32, _F.TYPE_FIXED32}
_SIGNED_64 = {_F.TYPE_INT64, _F.TYPE_SINT64, _F.TYPE_SFIXED64}
_UNSIGNED_64 = {_F.TYPE_UINT64, _F.TYPE_FIXED64}

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
_URL_SAFE = str.maketrans("-_", "+/")
_SURROGATE = re.compile("[\ud800-\udfff]")


def encoder(field: FieldDescriptor, *, short_enums: bool) -> Convert | None:
    """What turns the field's single value into JSON; None where it is JSON already."""
    if field.type in _SIGNED_64 | _UNSIGNED_64:
        return str
    if field.type == _F.TYPE_DOUBLE:
        return double_to_json
    if field.type == _F.TYPE_FLOAT:
        return float_to_json
    if field.type == _F.TYPE_BYTES:
        return bytes_to_json
    if field.type == _F.TYPE_ENUM:
        return enum_encoder(enum_of(field), short=short_enums)
    return None


def decoder(field: FieldDescriptor, *, short_enums: bool) -> Convert:
    """What turns JSON into the field's single value; it raises JsonError."""
    if field.type in _SIGNED_32:
        return integer(-(2**31), 2**31 - 1)
    if field.type in _UNSIGNED_32:
        return integer(0, 2**32 - 1)
    if field.type in _SIGNED_64:
        return integer(-(2**63), 2**63 - 1)
    if field.type in _UNSIGNED_64:
        return integer(0, 2**64 - 1)
    if field.type == _F.TYPE_ENUM:
        return enum_decoder(enum_of(field), short=short_enums)
    simple: dict[int, Convert] = {
        _F.TYPE_BOOL: to_bool,
        _F.TYPE_STRING: to_string,
        _F.TYPE_BYTES: to_bytes,
        _F.TYPE_DOUBLE: to_double,
        _F.TYPE_FLOAT: to_float,
    }
    return simple[field.type]


def double_to_json(value: float) -> float | str:
    """A number, or the specification's words for what JSON has no number for."""
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def float_to_json(value: float) -> float | str:
    """The shortest number that reads back as the same 32-bit float."""
    if not math.isfinite(value) or (value.is_integer() and abs(value) < 1e6):
        return double_to_json(value)
    for digits in range(6, 10):
        short = float(f"{value:.{digits}g}")
        if _single(short) == value:
            return short
    return value


def bytes_to_json(value: bytes) -> str:
    """Standard base64 with padding."""
    return base64.b64encode(value).decode()


def enum_encoder(enum: EnumDescriptor, *, short: bool) -> Convert:
    """A name, or the number where it has none; null for NullValue."""
    if enum.full_name == "google.protobuf.NullValue":
        return lambda _: None
    names = json_names(enum, short=short)
    return lambda number: names.get(number, number)


def enum_decoder(enum: EnumDescriptor, *, short: bool) -> Convert:
    """Any of the value's names, or its number."""
    names = accepted_names(enum, short=short)
    known = set(enum.values_by_number)
    shown = ", ".join(json_names(enum, short=short)[number] for number in sorted(known))
    number = integer(-(2**31), 2**31 - 1)

    def decode(value: Any) -> int:
        if isinstance(value, str):
            if value in names:
                return names[value]
            if not _NUMBER.fullmatch(value):
                raise JsonError(f"must be one of {shown}")
        found: int = number(value)
        if enum.is_closed and found not in known:
            raise JsonError(f"must be one of {shown}")
        return found

    return decode


def integer(low: int, high: int) -> Convert:
    """Whole numbers, as a number or as a string (as 64-bit ones travel)."""

    def decode(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise JsonError("must be a whole number")
        if not isinstance(value, int):
            value = _whole(value, low, high)
        if not low <= value <= high:
            raise JsonError(f"must be between {low} and {high}")
        return int(value)

    return decode


def _whole(value: float | str, low: int, high: int) -> int:
    if isinstance(value, float):
        if not value.is_integer():
            raise JsonError("must be a whole number")
        return int(value)
    if not _NUMBER.fullmatch(value):
        raise JsonError("must be a whole number")
    try:
        exact = Decimal(value)
    except InvalidOperation as exc:  # an exponent beyond what a Decimal holds
        raise JsonError(f"must be between {low} and {high}") from exc
    # Compared before it is made an int: "1e999999999" would take gigabytes as one.
    if not low <= exact <= high:
        raise JsonError(f"must be between {low} and {high}")
    if exact != exact.to_integral_value():
        raise JsonError("must be a whole number")
    return int(exact)


def to_bool(value: Any) -> bool:
    """A JSON boolean, nothing else."""
    if not isinstance(value, bool):
        raise JsonError("must be true or false")
    return value


def to_string(value: Any) -> str:
    """A JSON string."""
    if not isinstance(value, str):
        raise JsonError("must be a string")
    if not value.isascii() and _SURROGATE.search(value):
        raise JsonError("must be valid Unicode")
    return value


def to_bytes(value: Any) -> bytes:
    """base64 or base64url, with padding or without."""
    if not isinstance(value, str):
        raise JsonError("must be a base64 string")
    text = value.rstrip("=").translate(_URL_SAFE)
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise JsonError("must be a base64 string") from exc


def to_double(value: Any) -> float:
    """A number, a number as a string, or "NaN", "Infinity", "-Infinity"."""
    if isinstance(value, str):
        if value in ("NaN", "Infinity", "-Infinity"):
            return float(value)
        if not _NUMBER.fullmatch(value):
            raise JsonError("must be a number")
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise JsonError("must be a number")
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise JsonError("is too large for a 64-bit float")
    return found


def to_float(value: Any) -> float:
    """As ``to_double``, within a 32-bit float once rounded to one."""
    found = to_double(value)
    if math.isfinite(found) and not math.isfinite(_single(found)):
        raise JsonError("is too large for a 32-bit float")
    return found


def _single(value: float) -> float:
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return math.inf
