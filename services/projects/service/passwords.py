"""Passwords as argon2id hashes (RFC 9106), worked out beside the event loop, a few at a time."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from kit.errors import Unavailable

T = TypeVar("T")


class Passwords:
    """Hashes passwords and compares them with hashes. Both take the memory of one hash and a tenth of a second."""

    def __init__(
        self, *, memory_kib: int, time_cost: int, lanes: int, threads: int, queue: int
    ) -> None:
        """``threads`` passwords are worked on at once, ``queue`` more may wait."""
        self._hasher = PasswordHasher(
            memory_cost=memory_kib, time_cost=time_cost, parallelism=lanes
        )
        self._nobodys = self._hasher.hash("nobody has this password")
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._room = threads + queue

    async def hash(self, password: str) -> str:
        """The hash to store. Raises ``Unavailable`` where too many wait."""
        return await self._in_thread(lambda: self._hasher.hash(_typed(password)))

    async def matches(self, stored: str | None, password: str) -> bool:
        """Whether the password is the one of a stored hash.

        ``None``, for a user who does not exist, takes the same time and is never right.
        """
        right = await self._in_thread(lambda: self._verified(stored or self._nobodys, password))
        return right and stored is not None

    def outdated(self, stored: str) -> bool:
        """Whether a hash was made with other parameters than those of today."""
        return self._hasher.check_needs_rehash(stored)

    def close(self) -> None:
        """Lets the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verified(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, _typed(password))
        except (VerificationError, InvalidHashError):
            return False

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._room <= 0:
            raise Unavailable("too many sign-ins at once", reason="SIGN_IN_BUSY", retry_after=1.0)
        self._room -= 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._room += 1


def _typed(password: str) -> str:
    """The same password however a keyboard composes its letters (RFC 8265, section 4.2)."""
    return unicodedata.normalize("NFC", password)
