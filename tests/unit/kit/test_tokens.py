"""Who a token proves to be, and the tokens that prove nothing."""

from __future__ import annotations

import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from kit.auth import tokens
from kit.auth.keys import SigningKey, public_keys
from kit.auth.tokens import ServiceIdentity, Verifier, issue_user_token
from kit.errors import Unauthenticated

USERS = SigningKey.generate("key-1")
GENERATION = SigningKey.generate("generation")
STRANGER = SigningKey.generate("key-1")


class _Keys:
    async def key(self, kid: str) -> Ed25519PublicKey | None:
        return public_keys([USERS.public_jwk()]).get(kid)


def _verifier(audience: str = "sandbox") -> Verifier:
    return Verifier(audience, public_keys([GENERATION.public_jwk()]), _Keys())


async def test_a_users_token_names_the_user_and_is_kept_to_be_passed_on() -> None:
    token = issue_user_token(USERS, "usr-1", "ses-1", 60)
    principal = await _verifier().principal(token)
    assert (principal.user_id, principal.service, principal.token) == ("usr-1", "", token)


@pytest.mark.parametrize("user", ["usr-1", ""])
async def test_a_services_token_names_the_service_and_its_user(user: str) -> None:
    token = ServiceIdentity(GENERATION).token("sandbox", user)
    principal = await _verifier().principal(token)
    assert (principal.user_id, principal.service, principal.token) == (user, "generation", "")


async def test_a_services_token_is_for_one_audience_alone() -> None:
    token = ServiceIdentity(GENERATION).token("projects", "usr-1")
    with pytest.raises(Unauthenticated):
        await _verifier("sandbox").principal(token)


def _claims(**changed: Any) -> dict[str, Any]:
    now = int(time.time())
    good = {
        "iss": tokens.USER_ISSUER,
        "aud": tokens.USER_AUDIENCE,
        "sub": "usr-1",
        "iat": now,
        "exp": now + 60,
    }
    return {k: v for k, v in {**good, **changed}.items() if v is not None}


def _signed(key: SigningKey = USERS, kind: str = tokens.USER_TYPE, **changed: Any) -> str:
    headers = {"kid": key.kid, "typ": kind}
    return jwt.encode(_claims(**changed), key.private, algorithm="EdDSA", headers=headers)


def _bad_tokens() -> dict[str, str]:
    good = _signed()
    head, body, signature = good.split(".")
    public = USERS.public_jwk()["x"]
    return {
        "empty": "",
        "no token": "abc",
        "two parts": f"{head}.{body}",
        "cut": good[:-4],
        "tampered body": f"{head}.{body[:-2]}AA.{signature}",
        "another's key": _signed(STRANGER),
        "unknown key id": _signed(SigningKey.generate("key-2")),
        "none": jwt.encode(
            _claims(), "", algorithm="none", headers={"kid": "key-1", "typ": "at+jwt"}
        ),
        "hmac with the public key": jwt.encode(
            _claims(),
            public + "=" * 32,
            algorithm="HS256",
            headers={"kid": "key-1", "typ": "at+jwt"},
        ),
        "wrong audience": _signed(aud="somebody else"),
        "list of audiences": _signed(aud=[tokens.USER_AUDIENCE, "x"]),
        "wrong issuer": _signed(iss="generation"),
        "no expiry": _signed(exp=None),
        "no subject": _signed(sub=None),
        "other type": _signed(kind="JWT"),
        "user token signed as a service's": _signed(kind=tokens.SERVICE_TYPE),
        "service's key under a user's type": _signed(GENERATION),
    }


@pytest.mark.parametrize("name", sorted(_bad_tokens()))
async def test_a_bad_token_proves_nothing_and_is_not_explained(name: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        await _verifier().principal(_bad_tokens()[name])
    assert caught.value.reason == "BAD_TOKEN"
    assert caught.value.message == "the token is not valid"


async def test_an_expired_token_says_that_it_has_expired() -> None:
    with pytest.raises(Unauthenticated) as caught:
        await _verifier().principal(_signed(exp=int(time.time()) - tokens.LEEWAY_SECONDS - 1))
    assert caught.value.reason == "TOKEN_EXPIRED"


async def test_a_service_token_is_used_again_while_it_is_fresh() -> None:
    identity = ServiceIdentity(GENERATION)
    assert identity.token("sandbox", "usr-1") == identity.token("sandbox", "usr-1")
    assert identity.token("sandbox", "usr-1") != identity.token("sandbox", "usr-2")


def test_key_sets_show_public_halves_only() -> None:
    assert "d" not in USERS.public_jwk()
    assert public_keys([USERS.private_jwk()]) == {}
