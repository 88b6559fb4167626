"""Who calls, and whether this method is open to them."""

from __future__ import annotations

from kit.auth.tokens import Verifier
from kit.context import Principal, set_principal
from kit.errors import PermissionDenied, Unauthenticated
from kit.metadata import AUTHORIZATION
from kit.methods import MethodPolicy
from protos.options.v1 import options_pb2


async def admit(
    policy: MethodPolicy, metadata: dict[str, str | bytes], verifier: Verifier
) -> Principal | None:
    """Sets who calls for the rest of this task. Raises ``Unauthenticated`` or ``PermissionDenied``."""
    principal = await _checked(policy, metadata, verifier)
    set_principal(principal)
    return principal


async def _checked(
    policy: MethodPolicy, metadata: dict[str, str | bytes], verifier: Verifier
) -> Principal | None:
    if policy.access == options_pb2.ACCESS_PUBLIC:
        return None
    principal = await verifier.principal(_bearer(metadata))
    if policy.access == options_pb2.ACCESS_INTERNAL and not principal.service:
        raise PermissionDenied(
            "this method is for the platform's own services", reason="INTERNAL_METHOD"
        )
    if policy.access == options_pb2.ACCESS_USER and not principal.user_id:
        raise PermissionDenied("this method needs a user", reason="USER_NEEDED")
    return principal


def _bearer(metadata: dict[str, str | bytes]) -> str:
    value = metadata.get(AUTHORIZATION)
    if not isinstance(value, str) or not value:
        raise Unauthenticated("no token was given", reason="TOKEN_MISSING")
    scheme, _, token = value.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("authorization must be 'Bearer' and a token", reason="BAD_TOKEN")
    return token.strip()
