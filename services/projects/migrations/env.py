"""Where Alembic begins."""

from kit.db.migrate import run_env

run_env()
