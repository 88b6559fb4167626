"""The rules that the protos give their fields, enforced on every message that comes in."""

from __future__ import annotations

from google.protobuf.message import Message
from protovalidate import Validator
from protovalidate import Violation as RuleViolation

from kit.errors import Invalid, Violation

_validator = Validator()


def check(message: Message) -> None:
    """Raises ``Invalid`` with every field that breaks a rule, and which."""
    broken = _validator.collect_violations(message)
    if not broken:
        return
    found = tuple(_named(violation) for violation in broken)
    text = "; ".join(f"{v.field or 'request'}: {v.message}" for v in found)
    raise Invalid(text, violations=found)


def _named(violation: RuleViolation) -> Violation:
    path = violation.proto.field
    names = [element.field_name for element in path.elements] if path else []
    message = violation.proto.message or violation.proto.rule_id
    return Violation(".".join(names), message)
