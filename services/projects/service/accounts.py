"""Accounts and sessions."""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from kit.auth.keys import SigningKey
from kit.auth.tokens import issue_user_token
from kit.db import Database
from kit.errors import AlreadyExists, Unauthenticated
from kit.ids import new_id
from services.projects.model import RefreshToken, SignedIn, User
from services.projects.repository.accounts import AccountsRepository
from services.projects.service.passwords import Passwords

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Accounts:
    """Registers users and signs them in."""

    database: Database
    passwords: Passwords
    signing_key: SigningKey
    access_seconds: int
    refresh_seconds: int

    async def register(self, email: str, password: str, display_name: str) -> SignedIn:
        """A new account, signed in. Raises ``AlreadyExists`` where the address has one."""
        hashed = await self.passwords.hash(password)
        async with self.database.begin() as connection:
            user = await AccountsRepository(connection).add_user(
                new_id("usr"), email, _email_key(email), display_name, hashed
            )
            if user is None:
                raise AlreadyExists("email: has an account already", reason="EMAIL_TAKEN")
            return await self._sign_in(connection, user)

    async def login(self, email: str, password: str) -> SignedIn:
        """A new session. Raises ``Unauthenticated``, the same for an unknown address and a wrong password."""
        async with self.database.begin() as connection:
            found = await AccountsRepository(connection).credentials(_email_key(email))
        user, stored = found or (None, None)
        if not await self.passwords.matches(stored, password) or user is None or stored is None:
            raise Unauthenticated("e-mail address or password is wrong", reason="BAD_CREDENTIALS")
        rehashed = await self._rehashed(stored, password)
        async with self.database.begin() as connection:
            if rehashed:
                await AccountsRepository(connection).set_password_hash(
                    user.user_id, stored, rehashed
                )
            return await self._sign_in(connection, user)

    async def refresh(self, refresh_token: str) -> SignedIn:
        """The session's next pair of tokens. Raises ``Unauthenticated`` for a token that is no longer good.

        A token that was exchanged before ends its session: one of the two who had it is a thief.
        """
        async with self.database.begin() as connection:
            accounts = AccountsRepository(connection)
            found = await accounts.lock_refresh_token(_sha256(refresh_token))
            if found and not found.over and not found.used:
                await accounts.use_refresh_token(_sha256(refresh_token))
                return await self._tokens(connection, found.user, found.session_id)
            if found and found.used:
                await self._stolen(accounts, found)
        # Raised outside of the transaction: the end of a stolen session must be kept.
        raise Unauthenticated(
            "the refresh token is unknown, used or expired", reason="BAD_REFRESH_TOKEN"
        )

    async def logout(self, refresh_token: str) -> None:
        """Ends the session of a refresh token; an unknown one is no error."""
        async with self.database.begin() as connection:
            accounts = AccountsRepository(connection)
            if found := await accounts.lock_refresh_token(_sha256(refresh_token)):
                await accounts.end_session(found.session_id)

    async def me(self, user_id: str) -> User:
        """The user of a verified token. Raises ``Unauthenticated`` where the account is gone."""
        async with self.database.begin() as connection:
            user = await AccountsRepository(connection).user(user_id)
        if user is None:
            raise gone()
        return user

    async def _rehashed(self, stored: str, password: str) -> str | None:
        """The password's new hash, where the stored one was made with parameters of the past."""
        return await self.passwords.hash(password) if self.passwords.outdated(stored) else None

    async def _stolen(self, accounts: AccountsRepository, token: RefreshToken) -> None:
        await accounts.end_session(token.session_id)
        _log.warning(
            "refresh token used again: session ended",
            session_id=token.session_id,
            user_id=token.user.user_id,
        )

    async def _sign_in(self, connection: AsyncConnection, user: User) -> SignedIn:
        session_id = new_id("ses")
        await AccountsRepository(connection).open_session(
            session_id, user.user_id, self.refresh_seconds
        )
        return await self._tokens(connection, user, session_id)

    async def _tokens(self, connection: AsyncConnection, user: User, session_id: str) -> SignedIn:
        refresh_token = secrets.token_urlsafe(32)
        refresh_expires_at = await AccountsRepository(connection).add_refresh_token(
            session_id, _sha256(refresh_token), self.refresh_seconds
        )
        access_expires_at = int(time.time()) + self.access_seconds
        return SignedIn(
            user=user,
            access_token=issue_user_token(
                self.signing_key, user.user_id, session_id, self.access_seconds
            ),
            access_expires_at=datetime.fromtimestamp(access_expires_at, UTC),
            refresh_token=refresh_token,
            refresh_expires_at=refresh_expires_at,
        )


def gone() -> Unauthenticated:
    """The error for a good token whose account is no more."""
    return Unauthenticated("the account does not exist any more", reason="ACCOUNT_GONE")


def _email_key(email: str) -> str:
    """By what two spellings of an address are the same."""
    return email.strip().casefold()


def _sha256(token: str) -> bytes:
    # The token has 256 random bits: nothing slower than this is needed to keep a stolen table useless.
    return hashlib.sha256(token.encode()).digest()
