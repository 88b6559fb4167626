"""Run by Alembic; the connection comes from ``kit.db.migrate``."""

from kit.db.migrate import run_env

run_env()
