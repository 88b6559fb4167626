"""Accounts and sessions over real gRPC and a real Postgres."""

from __future__ import annotations

import asyncio
import secrets
import time
from pathlib import Path

import grpc
import pytest
from sqlalchemy import text

from kit.db import Database
from protos.projects.v1 import accounts_pb2
from tests.fixtures.postgres import DatabaseUrls
from tests.fixtures.project_files import outcome, refused
from tests.fixtures.projects import PASSWORD, ProjectsService, running_projects

Code = grpc.StatusCode


def _login(email: str, password: str = PASSWORD) -> accounts_pb2.LoginRequest:
    return accounts_pb2.LoginRequest(email=email, password=password)


def _refresh(token: str) -> accounts_pb2.RefreshRequest:
    return accounts_pb2.RefreshRequest(refresh_token=token)


async def test_a_registered_user_signs_in_and_is_known(projects_service: ProjectsService) -> None:
    user = await projects_service.user()
    session = await user.accounts.Login(_login(user.email))
    assert session.user.user_id == user.user_id
    me = await projects_service.accounts(session.access_token).GetMe(accounts_pb2.GetMeRequest())
    assert (me.user_id, me.email) == (user.user_id, user.email)


async def test_the_session_says_when_its_tokens_end(projects_service: ProjectsService) -> None:
    user = await projects_service.user()
    session = await user.accounts.Login(_login(user.email))
    lives = session.access_token_expires_at.seconds - time.time()
    assert 890 < lives <= 900
    lives = session.refresh_token_expires_at.seconds - time.time()
    assert 30 * 86_400 - 60 < lives <= 30 * 86_400 + 60


async def test_an_address_is_taken_whatever_its_case(projects_service: ProjectsService) -> None:
    name = secrets.token_hex(6)
    user = await projects_service.user(f"{name}@Example.com")
    assert user.email == f"{name}@Example.com"
    async with refused(Code.ALREADY_EXISTS) as error:
        await projects_service.user(f"{name.upper()}@example.COM")
    assert error.reason == "EMAIL_TAKEN"
    session = await user.accounts.Login(_login(f"{name.upper()}@EXAMPLE.com"))
    assert session.user.user_id == user.user_id


async def test_of_many_registrations_of_one_address_one_succeeds(
    projects_service: ProjectsService,
) -> None:
    accounts = projects_service.accounts()
    email = f"{secrets.token_hex(6)}@example.com"
    request = accounts_pb2.RegisterRequest(email=email, password=PASSWORD)
    ends = await asyncio.gather(*(outcome(accounts.Register(request)) for _ in range(5)))
    assert ends.count("EMAIL_TAKEN") == 4


async def test_unknown_address_and_wrong_password_are_refused_alike(
    projects_service: ProjectsService,
) -> None:
    user = await projects_service.user()
    async with refused(Code.UNAUTHENTICATED) as wrong:
        await user.accounts.Login(_login(user.email, "not the password"))
    async with refused(Code.UNAUTHENTICATED) as unknown:
        await user.accounts.Login(_login("nobody@example.com"))
    assert wrong.reason == unknown.reason == "BAD_CREDENTIALS"
    assert wrong.error.message == unknown.error.message


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (accounts_pb2.RegisterRequest(email="not-an-address", password=PASSWORD), "email"),
        (accounts_pb2.RegisterRequest(email="", password=PASSWORD), "email"),
        (accounts_pb2.RegisterRequest(email="a" * 250 + "@b.de", password=PASSWORD), "email"),
        (accounts_pb2.RegisterRequest(email="a@example.com", password="x" * 9), "password"),
        (accounts_pb2.RegisterRequest(email="a@example.com", password="x" * 257), "password"),
        (
            accounts_pb2.RegisterRequest(
                email="a@example.com", password=PASSWORD, display_name="a\x00b"
            ),
            "display_name",
        ),
    ],
)
async def test_a_bad_registration_names_its_field(
    projects_service: ProjectsService, request_: accounts_pb2.RegisterRequest, field: str
) -> None:
    async with refused(Code.INVALID_ARGUMENT) as error:
        await projects_service.accounts().Register(request_)
    assert field in error.fields
    assert PASSWORD not in error.error.message


async def test_a_sign_in_with_a_nul_is_a_bad_request(projects_service: ProjectsService) -> None:
    async with refused(Code.INVALID_ARGUMENT) as error:
        await projects_service.accounts().Login(_login("a\x00@example.com"))
    assert error.fields == ["email"]


async def test_a_password_is_the_same_however_its_letters_are_composed(
    projects_service: ProjectsService,
) -> None:
    accounts = projects_service.accounts()
    email = f"{secrets.token_hex(6)}@example.com"
    await accounts.Register(accounts_pb2.RegisterRequest(email=email, password="caf\u00e9 au lait"))
    session = await accounts.Login(_login(email, "cafe\u0301 au lait"))
    assert session.access_token


async def test_only_a_hash_of_the_password_and_of_the_refresh_token_is_stored(
    projects_service: ProjectsService, projects_urls: DatabaseUrls
) -> None:
    user = await projects_service.user()
    database = Database(projects_urls.projects, pool_size=1, name="test")
    async with database.begin() as connection:
        stored = (
            await connection.execute(
                text("SELECT password_hash FROM users WHERE user_id = :user"),
                {"user": user.user_id},
            )
        ).scalar_one()
        tokens = (
            await connection.execute(text("SELECT token_sha256::text FROM refresh_tokens"))
        ).scalars()
        assert stored.startswith("$argon2id$")
        assert user.refresh_token not in tokens
    await database.close()


async def test_a_sign_in_renews_a_hash_made_with_other_parameters(
    projects_service: ProjectsService, projects_urls: DatabaseUrls, key_folder: Path
) -> None:
    user = await projects_service.user()
    async with running_projects(projects_urls, key_folder, password_time_cost=2) as service:
        await service.accounts().Login(_login(user.email))
    database = Database(projects_urls.projects, pool_size=1, name="test")
    async with database.begin() as connection:
        query = text("SELECT password_hash FROM users WHERE user_id = :user")
        found = (await connection.execute(query, {"user": user.user_id})).scalar_one()
    await database.close()
    assert ",t=2," in found
    again = await projects_service.accounts().Login(_login(user.email))
    assert again.access_token


async def test_a_refresh_token_works_once_and_gives_the_next(
    projects_service: ProjectsService,
) -> None:
    user = await projects_service.user()
    first = await user.accounts.Refresh(_refresh(user.refresh_token))
    second = await user.accounts.Refresh(_refresh(first.refresh_token))
    assert len({user.refresh_token, first.refresh_token, second.refresh_token}) == 3
    me = await projects_service.accounts(second.access_token).GetMe(accounts_pb2.GetMeRequest())
    assert me.user_id == user.user_id


async def test_using_a_refresh_token_again_ends_the_session(
    projects_service: ProjectsService,
) -> None:
    user = await projects_service.user()
    newest = await user.accounts.Refresh(_refresh(user.refresh_token))
    for token in (user.refresh_token, newest.refresh_token):
        async with refused(Code.UNAUTHENTICATED) as error:
            await user.accounts.Refresh(_refresh(token))
        assert error.reason == "BAD_REFRESH_TOKEN"


async def test_the_end_of_one_session_leaves_the_others(projects_service: ProjectsService) -> None:
    user = await projects_service.user()
    other = await user.accounts.Login(_login(user.email))
    await user.accounts.Logout(accounts_pb2.LogoutRequest(refresh_token=user.refresh_token))
    async with refused(Code.UNAUTHENTICATED):
        await user.accounts.Refresh(_refresh(user.refresh_token))
    going_on = await user.accounts.Refresh(_refresh(other.refresh_token))
    assert going_on.user.user_id == user.user_id


async def test_of_two_refreshes_at_once_at_most_one_succeeds(
    projects_service: ProjectsService,
) -> None:
    for _ in range(5):
        user = await projects_service.user()
        calls = (user.accounts.Refresh(_refresh(user.refresh_token)) for _ in range(2))
        ends = await asyncio.gather(*(outcome(call) for call in calls))
        assert ends.count("BAD_REFRESH_TOKEN") == 1


async def test_an_old_and_the_newest_token_used_at_once_end_the_session(
    projects_service: ProjectsService,
) -> None:
    for _ in range(3):
        user = await projects_service.user()
        newest = await user.accounts.Refresh(_refresh(user.refresh_token))
        both = (user.refresh_token, newest.refresh_token)
        ends = await asyncio.gather(*(outcome(user.accounts.Refresh(_refresh(t))) for t in both))
        assert ends[0] == "BAD_REFRESH_TOKEN"
        last = newest.refresh_token if isinstance(ends[1], str) else ends[1].refresh_token
        async with refused(Code.UNAUTHENTICATED):
            await user.accounts.Refresh(_refresh(last))


async def test_an_unknown_refresh_token_is_refused_and_its_logout_is_no_error(
    projects_service: ProjectsService,
) -> None:
    accounts = projects_service.accounts()
    async with refused(Code.UNAUTHENTICATED):
        await accounts.Refresh(_refresh("x" * 43))
    assert await accounts.Logout(accounts_pb2.LogoutRequest(refresh_token="x" * 43)) is not None


async def test_an_expired_refresh_token_is_refused(
    projects_service: ProjectsService, projects_urls: DatabaseUrls
) -> None:
    user = await projects_service.user()
    database = Database(projects_urls.projects, pool_size=1, name="test")
    async with database.begin() as connection:
        await connection.execute(
            text(
                "UPDATE refresh_tokens SET expires_at = now() FROM sessions"
                " WHERE sessions.session_id = refresh_tokens.session_id AND user_id = :user"
            ),
            {"user": user.user_id},
        )
    await database.close()
    async with refused(Code.UNAUTHENTICATED):
        await user.accounts.Refresh(_refresh(user.refresh_token))


async def test_the_published_keys_are_public_halves_only(projects_service: ProjectsService) -> None:
    found = await projects_service.accounts().GetSigningKeys(accounts_pb2.GetSigningKeysRequest())
    (key,) = found.keys
    assert (key.kty, key.crv, key.alg, key.use) == ("OKP", "Ed25519", "EdDSA", "sig")
    private = (projects_service.key_folder / "users.jwks").read_text()
    assert key.x in private
    assert key.kid.startswith("key-")


async def test_too_many_sign_ins_at_once_are_asked_to_come_again(
    projects_urls: DatabaseUrls, key_folder: Path
) -> None:
    async with running_projects(
        projects_urls,
        key_folder,
        password_memory_kib=32_768,
        password_threads=1,
        password_queue=1,
    ) as service:
        calls = (service.accounts().Login(_login("nobody@example.com")) for _ in range(12))
        ends = await asyncio.gather(*(outcome(call) for call in calls))
    assert set(ends) == {"BAD_CREDENTIALS", "SIGN_IN_BUSY"}
