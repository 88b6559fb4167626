"""Users, sessions and refresh tokens."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.projects.model import RefreshToken, User
from services.projects.tables import refresh_tokens, sessions, users


class AccountsRepository:
    """SQL of accounts."""

    def __init__(self, connection: AsyncConnection) -> None:
        """Works in the connection's transaction."""
        self._connection = connection

    async def add_user(
        self, user_id: str, email: str, email_key: str, display_name: str, password_hash: str
    ) -> User | None:
        """The new user, ``None`` where the address has an account."""
        statement = (
            upsert(users)
            .values(
                user_id=user_id,
                email=email,
                email_key=email_key,
                display_name=display_name,
                password_hash=password_hash,
            )
            .on_conflict_do_nothing(index_elements=[users.c.email_key])
            .returning(users)
        )
        row = (await self._connection.execute(statement)).one_or_none()
        return _user(row) if row else None

    async def user(self, user_id: str) -> User | None:
        """The user of an id."""
        found = await self._connection.execute(select(users).where(users.c.user_id == user_id))
        row = found.one_or_none()
        return _user(row) if row else None

    async def lock_user(self, user_id: str) -> bool:
        """Makes others who lock this user wait until the transaction ends; false where there is no such user."""
        statement = (
            select(users.c.user_id)
            .where(users.c.user_id == user_id)
            .with_for_update(key_share=True)
        )
        return (await self._connection.execute(statement)).one_or_none() is not None

    async def credentials(self, email_key: str) -> tuple[User, str] | None:
        """The user of an address and the password's hash."""
        found = await self._connection.execute(select(users).where(users.c.email_key == email_key))
        row = found.one_or_none()
        return (_user(row), row.password_hash) if row else None

    async def set_password_hash(self, user_id: str, old: str, new: str) -> None:
        """Replaces a hash that is still the old one."""
        await self._connection.execute(
            update(users)
            .where(users.c.user_id == user_id, users.c.password_hash == old)
            .values(password_hash=new)
        )

    async def open_session(self, session_id: str, user_id: str, seconds: int) -> None:
        """Adds a session and forgets those of the user that nobody can go on with."""
        await self._connection.execute(
            delete(sessions).where(
                sessions.c.user_id == user_id, sessions.c.expires_at < func.now()
            )
        )
        await self._connection.execute(
            insert(sessions).values(
                session_id=session_id,
                user_id=user_id,
                expires_at=func.now() + timedelta(seconds=seconds),
            )
        )

    async def add_refresh_token(self, session_id: str, sha256: bytes, seconds: int) -> datetime:
        """Adds a session's next refresh token and answers when it expires; older expired ones are forgotten."""
        await self._connection.execute(
            delete(refresh_tokens).where(
                refresh_tokens.c.session_id == session_id,
                refresh_tokens.c.expires_at < func.now(),
            )
        )
        expires_at: datetime = (
            await self._connection.execute(
                insert(refresh_tokens)
                .values(
                    token_sha256=sha256,
                    session_id=session_id,
                    expires_at=func.now() + timedelta(seconds=seconds),
                )
                .returning(refresh_tokens.c.expires_at)
            )
        ).scalar_one()
        await self._connection.execute(
            update(sessions)
            .where(sessions.c.session_id == session_id)
            .values(expires_at=expires_at)
        )
        return expires_at

    async def lock_refresh_token(self, sha256: bytes) -> RefreshToken | None:
        """A refresh token as it is once nobody else works on its session; ``None`` where it is unknown."""
        mine = refresh_tokens.c.token_sha256 == sha256
        joined = refresh_tokens.join(sessions).join(users)
        await self._connection.execute(
            select(sessions.c.session_id)
            .select_from(joined)
            .where(mine)
            .with_for_update(of=sessions)
        )
        # Read by a statement of its own: what others did while this one waited must be seen.
        over = (refresh_tokens.c.expires_at <= func.now()) | sessions.c.ended_at.is_not(None)
        chosen = (users, sessions.c.session_id, refresh_tokens.c.used_at, over.label("over"))
        found = await self._connection.execute(select(*chosen).select_from(joined).where(mine))
        row = found.one_or_none()
        if row is None:
            return None
        return RefreshToken(row.session_id, _user(row), row.used_at is not None, bool(row.over))

    async def use_refresh_token(self, sha256: bytes) -> None:
        """Marks a refresh token as exchanged."""
        await self._connection.execute(
            update(refresh_tokens)
            .where(refresh_tokens.c.token_sha256 == sha256)
            .values(used_at=func.now())
        )

    async def end_session(self, session_id: str) -> None:
        """Ends a session: none of its refresh tokens works any more."""
        await self._connection.execute(
            update(sessions)
            .where(sessions.c.session_id == session_id, sessions.c.ended_at.is_(None))
            .values(ended_at=func.now())
        )


def _user(row: Row[Any]) -> User:
    return User(
        user_id=row.user_id,
        email=row.email,
        display_name=row.display_name,
        created_at=row.created_at,
    )
