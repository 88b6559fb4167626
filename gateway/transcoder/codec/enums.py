"""Names of enum values in JSON."""

from __future__ import annotations

import re

from google.protobuf.descriptor import EnumDescriptor

_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def short_names(enum: EnumDescriptor) -> dict[int, str]:
    """By number: ``active`` for SANDBOX_STATUS_ACTIVE of SandboxStatus.

    Where two numbers would share a short name, all values keep their full names in lower case.
    """
    prefix = _WORD.sub("_", enum.name).upper() + "_"
    names: dict[int, str] = {}
    for value in enum.values:
        short = value.name.removeprefix(prefix).lower()
        names.setdefault(value.number, value.name.lower() if short[0].isdigit() else short)
    if len(set(names.values())) != len(names):
        return {value.number: value.name.lower() for value in reversed(enum.values)}
    return names


def json_names(enum: EnumDescriptor, *, short: bool) -> dict[int, str]:
    """The name that is printed, by number; of aliases, the first declared."""
    if short:
        return short_names(enum)
    return {value.number: value.name for value in reversed(enum.values)}


def accepted_names(enum: EnumDescriptor, *, short: bool) -> dict[str, int]:
    """The number by every name that is understood."""
    accepted = {name: number for number, name in short_names(enum).items()} if short else {}
    accepted.update({value.name: value.number for value in enum.values})
    return accepted
