"""The generation service's tables. ``migrations/`` makes them; a test compares the two."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import sqlalchemy as sa

metadata = sa.MetaData()
_NOW = sa.text("clock_timestamp()")


def _moment(name: str, *, nullable: bool = True) -> sa.Column[datetime]:
    default = None if nullable else _NOW
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable, server_default=default)


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False, server_default="0")


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False, server_default="")


def _money(name: str) -> sa.Column[Decimal]:
    return sa.Column(name, sa.Numeric(16, 9), nullable=False, server_default="0")


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False, server_default=sa.false())


generations = sa.Table(
    "generations",
    metadata,
    sa.Column("generation_id", sa.Text, primary_key=True),
    sa.Column("owner_id", sa.Text, nullable=False),
    sa.Column("project_id", sa.Text, nullable=False),
    sa.Column("prompt", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("idempotency_key", sa.Text),
    _text("body_hash"),
    _count("epoch"),
    _moment("lease_until"),
    _text("worker"),
    # Until then StartGeneration readies the sandbox; a worker takes over where it did not come back.
    _moment("not_before", nullable=False),
    _moment("cancel_requested_at"),
    _text("sandbox_id"),
    _text("sandbox_url"),
    _text("preview_url"),
    _count("input_tokens"),
    _count("output_tokens"),
    _count("cache_read_tokens"),
    _count("cache_write_tokens"),
    _money("cost_usd"),
    _flag("estimated"),
    _count("turns"),
    sa.Column("mode", sa.Text, nullable=False, server_default="single"),
    # What it may cost, and what of it is set aside from the user's budgets while it is under way.
    _money("max_cost_usd"),
    _money("reserved_usd"),
    # What its owner was last told of its place in the queue.
    _count("queue_position"),
    # How many StartGeneration calls with its key are readying its sandbox.
    _count("readying"),
    # The last check, a serialized Check; empty where there was none.
    sa.Column("check_result", sa.LargeBinary, nullable=False, server_default=""),
    _count("version"),
    _text("failure_reason"),
    _text("failure_message"),
    _flag("failure_keeps_work"),
    _count("restarts"),
    _count("last_sequence"),
    _moment("created_at", nullable=False),
    _moment("started_at"),
    _moment("ended_at"),
    _moment("deleted_at"),
    # Whether the attachments' bytes and the conversations are gone.
    _flag("forgotten"),
    sa.CheckConstraint(
        "status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')",
        name="generations_status",
    ),
    sa.Index("generations_of_project", "project_id", "created_at", "generation_id"),
    sa.Index(
        "generations_idempotency",
        "owner_id",
        "idempotency_key",
        unique=True,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    ),
    sa.Index(
        "generations_queue",
        "created_at",
        "generation_id",
        postgresql_where=sa.text("status = 'queued'"),
    ),
    sa.Index(
        "generations_queue_of_owner",
        "owner_id",
        postgresql_where=sa.text("status IN ('queued', 'running')"),
    ),
    # One generation of a project runs at a time, whatever happens.
    sa.Index(
        "generations_running",
        "project_id",
        unique=True,
        postgresql_where=sa.text("status = 'running'"),
    ),
    sa.Index(
        "generations_kept",
        "ended_at",
        postgresql_where=sa.text("NOT forgotten"),
    ),
    sa.Index(
        "generations_kept_of_owner",
        "owner_id",
        postgresql_where=sa.text("NOT forgotten"),
    ),
    sa.Index(
        "generations_deleted",
        "deleted_at",
        postgresql_where=sa.text("deleted_at IS NOT NULL"),
    ),
)


def _of_generation() -> sa.Column[str]:
    return sa.Column(
        "generation_id",
        sa.Text,
        sa.ForeignKey("generations.generation_id", ondelete="CASCADE"),
        primary_key=True,
    )


events = sa.Table(
    "generation_events",
    metadata,
    _of_generation(),
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.Text, nullable=False),
    # A GenerationEvent without sequence and time, serialized.
    sa.Column("payload", sa.LargeBinary, nullable=False),
    _moment("created_at", nullable=False),
)

attachments = sa.Table(
    "generation_attachments",
    metadata,
    _of_generation(),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("media_type", sa.Text, nullable=False),
    sa.Column("size_bytes", sa.Integer, nullable=False),
    # Nothing once it is forgotten.
    sa.Column("content", sa.LargeBinary),
)

messages = sa.Table(
    "generation_messages",
    metadata,
    _of_generation(),
    # Each agent of a team has a conversation of its own; '' where one does everything.
    sa.Column("agent", sa.Text, primary_key=True, server_default=""),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("turn", sa.Integer, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    # json, not jsonb: what the model signed must come back as it was.
    sa.Column("content", sa.JSON, nullable=False),
    _text("stop_reason"),
    _moment("created_at", nullable=False),
)

tool_results = sa.Table(
    "generation_tool_results",
    metadata,
    _of_generation(),
    sa.Column("operation_id", sa.Text, primary_key=True),
    _text("agent"),
    sa.Column("tool_use_id", sa.Text, nullable=False),
    sa.Column("tool", sa.Text, nullable=False),
    _text("path"),
    sa.Column("result", sa.Text, nullable=False),
    _flag("is_error"),
    _moment("created_at", nullable=False),
)

# What a conversation saw last of each file, as of its transcript: an edit of anything else is refused.
known_files = sa.Table(
    "generation_known_files",
    metadata,
    _of_generation(),
    sa.Column("agent", sa.Text, primary_key=True, server_default=""),
    sa.Column("path", sa.Text, primary_key=True),
    sa.Column("sha256", sa.Text, nullable=False),
    # Whether its content was seen, not its name alone.
    _flag("shown"),
)

# What it wrote itself, noted before it is written: that may be written over, also by who goes on after a lost worker.
own_files = sa.Table(
    "generation_own_files",
    metadata,
    _of_generation(),
    sa.Column("agent", sa.Text, primary_key=True, server_default=""),
    sa.Column("path", sa.Text, primary_key=True),
    sa.Column("sha256", sa.Text, primary_key=True),
)

# What was paid for stays known after the generation is gone: no foreign key.
usage = sa.Table(
    "generation_usage",
    metadata,
    sa.Column("generation_id", sa.Text, primary_key=True),
    sa.Column("agent", sa.Text, primary_key=True, server_default=""),
    sa.Column("turn", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("epoch", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("attempt", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("owner_id", sa.Text, nullable=False),
    sa.Column("project_id", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    _count("input_tokens"),
    _count("output_tokens"),
    _count("cache_read_tokens"),
    _count("cache_write_tokens"),
    _money("cost_usd"),
    _flag("estimated"),
    _moment("created_at", nullable=False),
    sa.Index("generation_usage_of_owner", "owner_id", "created_at"),
)

cursors = sa.Table(
    "change_cursors",
    metadata,
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("sequence", sa.BigInteger, nullable=False),
)
