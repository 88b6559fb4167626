"""Every error of the closed set becomes a status and comes back as itself."""

from __future__ import annotations

import grpc
import pytest

from kit import errors
from kit.errors import ServiceError, Violation
from kit.status import CODES, DETAILS_KEY, from_rpc_error, to_status


def _received(error: ServiceError) -> grpc.aio.AioRpcError:
    code, details = to_status(error)
    trailing = grpc.aio.Metadata((DETAILS_KEY, details))
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, details=error.message)


@pytest.mark.parametrize("kind", list(CODES))
def test_an_error_comes_back_with_its_kind_reason_message_and_metadata(
    kind: type[ServiceError],
) -> None:
    sent = kind("a message", reason="A_REASON", metadata={"limit": "3", "used": "3"})
    got = from_rpc_error(_received(sent))
    assert type(got) is kind
    assert (got.message, got.reason, got.metadata) == ("a message", "A_REASON", sent.metadata)


def test_field_violations_and_the_retry_delay_survive() -> None:
    sent = errors.Invalid.field("prompt", "must not be blank")
    assert from_rpc_error(_received(sent)).violations == (Violation("prompt", "must not be blank"),)
    later = errors.Unavailable("busy", retry_after=1.5)
    assert from_rpc_error(_received(later)).retry_after == 1.5


def test_every_kind_has_a_code_of_its_own_and_every_kind_is_in_the_table() -> None:
    assert len(set(CODES.values())) == len(CODES)
    assert set(ServiceError.__subclasses__()) == set(CODES)


def test_what_the_transport_says_is_not_passed_on() -> None:
    lost = grpc.aio.AioRpcError(
        grpc.StatusCode.UNAVAILABLE,
        grpc.aio.Metadata(),
        grpc.aio.Metadata(),
        details="failed to connect to 10.1.2.3:50051",
    )
    got = from_rpc_error(lost)
    assert isinstance(got, errors.Unavailable)
    assert "10.1.2.3" not in got.message
