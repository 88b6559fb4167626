"""Alembic's entry; kit runs it."""

from kit.db.migrate import run_env

run_env()
