"""What a broken database looks like from outside, and what its errors never show."""

from __future__ import annotations

import socket

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError, OperationalError

from kit.db import Database
from kit.errors import Internal, ServiceError, Unavailable
from kit.interceptors.failures import _translated


def _database_error(kind: type[asyncpg.PostgresError]) -> DBAPIError:
    return OperationalError("SELECT 1", {}, kind("no"))


@pytest.mark.parametrize(
    "error",
    [
        _database_error(asyncpg.CannotConnectNowError),
        _database_error(asyncpg.TooManyConnectionsError),
        _database_error(asyncpg.AdminShutdownError),
        _database_error(asyncpg.ConnectionDoesNotExistError),
        ConnectionRefusedError(),
        TimeoutError(),
        socket.gaierror(),
    ],
    ids=lambda error: type(getattr(error, "orig", error)).__name__,
)
def test_a_database_out_of_reach_is_unavailable(error: Exception) -> None:
    assert isinstance(_translated(error), Unavailable)


@pytest.mark.parametrize("error", [_database_error(asyncpg.DiskFullError), ValueError("secret")])
def test_anything_else_is_internal_and_says_nothing(error: Exception) -> None:
    found: ServiceError = _translated(error)
    assert isinstance(found, Internal)
    assert "secret" not in found.message


def test_what_a_statement_was_given_stays_out_of_its_error() -> None:
    database = Database("postgresql+asyncpg://nobody@localhost/none", pool_size=1, name="test")
    assert database.engine.sync_engine.hide_parameters
