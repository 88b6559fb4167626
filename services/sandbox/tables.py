"""The tables of this service's schema."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
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
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("closed_at", DateTime(timezone=True)),
    CheckConstraint(
        "status IN ('creating', 'active', 'paused', 'closed')", name="sandboxes_status_known"
    ),
    CheckConstraint(
        "(status = 'closed') = (close_reason IS NOT NULL)", name="sandboxes_closed_has_reason"
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

# How far this service has read a stream of another.
cursors = Table(
    "cursors",
    metadata,
    Column("name", Text, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
)
