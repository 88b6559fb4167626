"""Postgres: the only store and the only coordinator."""

from kit.db.database import Database

__all__ = ["Database"]
