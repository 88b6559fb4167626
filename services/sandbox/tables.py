"""The tables of this service's schema."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Float,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    text,
)

metadata = MetaData()

sandboxes = Table(
    "sandboxes",
    metadata,
    Column("sandbox_id", Text, primary_key=True),
    Column("project_id", Text, nullable=False),
    Column("owner_id", Text, nullable=False),
    Column("vendor_id", Text, nullable=False, server_default=""),
    Column("status", Text, nullable=False),
    Column("close_reason", Text),
    Column("url", Text, nullable=False, server_default=""),
    Column("generation_id", Text, nullable=False, server_default=""),
    Column("attempt", Integer, nullable=False, server_default="1"),
    # Until then whoever makes it is believed to be alive.
    Column("attempt_until", DateTime(timezone=True), nullable=False),
    Column("unsettled", Boolean, nullable=False, server_default="false"),
    # Counts what made it unsettled: who brings it in line settles no more than was noted before.
    Column("dirt", BigInteger, nullable=False, server_default="0"),
    # Why it is: files were set back in the store, or writes take these paths away. Whatever else only the sandbox
    # has was made inside.
    Column("reset", Boolean, nullable=False, server_default="false"),
    Column("removing", ARRAY(Text), nullable=False, server_default="{}"),
    # Null until the project was asked: what its change log tells meanwhile is newer than the answer.
    Column("persistent", Boolean),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    Column("started_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("used_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    Column("paused_at", DateTime(timezone=True)),
    Column("rest_seconds", Float, nullable=False, server_default="0"),
    Column("closed_at", DateTime(timezone=True)),
    CheckConstraint(
        "status IN ('creating', 'active', 'paused', 'closed')", name="sandboxes_status_known"
    ),
    CheckConstraint(
        "(status = 'closed') = (close_reason IS NOT NULL)", name="sandboxes_closed_has_reason"
    ),
    CheckConstraint(
        "status <> 'paused' OR paused_at IS NOT NULL", name="sandboxes_paused_has_moment"
    ),
    # One open sandbox a project, whatever races.
    Index(
        "sandboxes_open_project",
        "project_id",
        unique=True,
        postgresql_where=text("status <> 'closed'"),
    ),
    Index("sandboxes_open_owner", "owner_id", postgresql_where=text("status <> 'closed'")),
    Index("sandboxes_open_expiry", "expires_at", postgresql_where=text("status <> 'closed'")),
    Index("sandboxes_project", "project_id", "sandbox_id"),
)

# When sandboxes ran, for quotas and cost. An interval is open exactly as long as its sandbox is being made or runs.
intervals = Table(
    "intervals",
    metadata,
    Column("interval_id", BigInteger, primary_key=True),
    Column("sandbox_id", Text, nullable=False),
    Column("project_id", Text, nullable=False),
    Column("owner_id", Text, nullable=False),
    Column("deployment", Text, nullable=False),
    # Whose prices hold, and the size that they are for.
    Column("place", Text, nullable=False),
    Column("cpu_count", Float, nullable=False),
    Column("memory_mib", Integer, nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    Column("ended_at", DateTime(timezone=True)),
    CheckConstraint("ended_at >= started_at", name="intervals_ends_after_start"),
    Index(
        "intervals_open_sandbox",
        "sandbox_id",
        unique=True,
        postgresql_where=text("ended_at IS NULL"),
    ),
    Index("intervals_owner", "owner_id", "ended_at"),
)

# Commands that users have run: for their limits, for statistics, and so that none outlives its service.
commands = Table(
    "commands",
    metadata,
    Column("command_id", Text, primary_key=True),
    Column("sandbox_id", Text, nullable=False),
    Column("owner_id", Text, nullable=False),
    # Its process in the sandbox; 0 before it is known.
    Column("pid", Integer, nullable=False, server_default="0"),
    Column("begun_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    # Until then whoever runs it is believed to be alive.
    Column("alive_until", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Index("commands_owner", "owner_id", "begun_at"),
    Index("commands_sandbox", "sandbox_id"),
    Index("commands_running", "alive_until", postgresql_where=text("ended_at IS NULL")),
)

# What has to be told to the projects service, one row a project.
reports = Table(
    "reports",
    metadata,
    Column("project_id", Text, primary_key=True),
    Column("owner_id", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("reported_revision", BigInteger, nullable=False, server_default="0"),
    Index("reports_waiting", "project_id", postgresql_where=text("reported_revision < revision")),
)

# The highest lease number that each generation has written with.
epochs = Table(
    "epochs",
    metadata,
    Column("project_id", Text, primary_key=True),
    Column("generation_id", Text, primary_key=True),
    Column("epoch", Integer, nullable=False),
    Column("seen_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    Index("epochs_seen", "seen_at"),
)

# Changes of another service's log that could not be applied in their turn: they are tried again and block nobody.
left_changes = Table(
    "left_changes",
    metadata,
    Column("sequence", BigInteger, primary_key=True),
    Column("project_id", Text, nullable=False),
    Column("owner_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("persistent", Boolean, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="1"),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Index("left_changes_due", "due_at"),
)

# How far this service has read a stream of another.
cursors = Table(
    "cursors",
    metadata,
    Column("name", Text, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
)
