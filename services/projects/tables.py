"""The tables of the projects service. ``migrations`` makes them; a test holds the two together."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "pk": "%(table_name)s_pkey",
    }
)

# Ids and paths are ordered byte by byte, as Python orders them, whatever the database's own collation is.
BYTEWISE = Text(collation="C")
MOMENT = DateTime(timezone=True)


def _created_at() -> Column[object]:
    return Column("created_at", MOMENT, nullable=False, server_default=func.now())


users = Table(
    "users",
    metadata,
    Column("user_id", BYTEWISE, primary_key=True),
    Column("email", Text, nullable=False),
    Column("email_key", BYTEWISE, nullable=False, unique=True),
    Column("display_name", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    _created_at(),
)

sessions = Table(
    "sessions",
    metadata,
    Column("session_id", BYTEWISE, primary_key=True),
    Column("user_id", ForeignKey("users.user_id", ondelete="CASCADE"), nullable=False, index=True),
    _created_at(),
    Column("expires_at", MOMENT, nullable=False),
    Column("ended_at", MOMENT),
)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("token_sha256", LargeBinary, primary_key=True),
    Column(
        "session_id",
        ForeignKey("sessions.session_id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    _created_at(),
    Column("expires_at", MOMENT, nullable=False),
    Column("used_at", MOMENT),
)

projects = Table(
    "projects",
    metadata,
    Column("project_id", BYTEWISE, primary_key=True),
    Column("owner_id", ForeignKey("users.user_id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("model", Text, nullable=False, server_default=text("''")),
    Column("head_version", Integer, nullable=False, server_default=text("0")),
    Column("last_version", Integer, nullable=False, server_default=text("0")),
    Column("sandbox_id", Text, nullable=False, server_default=text("''")),
    Column("sandbox_status", Text, nullable=False, server_default=text("'inactive'")),
    Column("sandbox_revision", BigInteger, nullable=False, server_default=text("0")),
    Column("persistent_sandbox", Boolean, nullable=False, server_default=text("false")),
    Column("file_count", Integer, nullable=False, server_default=text("0")),
    Column("size_bytes", Integer, nullable=False, server_default=text("0")),
    Column("idempotency_key", Text),
    Column("request_sha256", Text),
    _created_at(),
    Column("updated_at", MOMENT, nullable=False, server_default=func.now()),
    Index("projects_owner_id_project_id_idx", "owner_id", "project_id"),
    Index(
        "projects_owner_id_idempotency_key_idx",
        "owner_id",
        "idempotency_key",
        unique=True,
        postgresql_where=text("idempotency_key IS NOT NULL"),
    ),
)

# Content belongs to its owner: one user can't learn by a hash what another one has stored.
blobs = Table(
    "blobs",
    metadata,
    Column("owner_id", ForeignKey("users.user_id", ondelete="CASCADE"), primary_key=True),
    Column("sha256", BYTEWISE, primary_key=True),
    Column("size_bytes", Integer, nullable=False),
    _created_at(),
)

blob_chunks = Table(
    "blob_chunks",
    metadata,
    Column("owner_id", BYTEWISE, primary_key=True),
    Column("sha256", BYTEWISE, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("data", LargeBinary, nullable=False),
    ForeignKeyConstraint(
        ["owner_id", "sha256"], ["blobs.owner_id", "blobs.sha256"], ondelete="CASCADE"
    ),
    CheckConstraint("octet_length(data) BETWEEN 1 AND 1048576", name="data_size"),
)

project_files = Table(
    "project_files",
    metadata,
    Column("project_id", ForeignKey("projects.project_id", ondelete="CASCADE"), primary_key=True),
    Column("path", BYTEWISE, primary_key=True),
    Column("owner_id", BYTEWISE, nullable=False),
    Column("sha256", BYTEWISE, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("updated_at", MOMENT, nullable=False),
    ForeignKeyConstraint(["owner_id", "sha256"], ["blobs.owner_id", "blobs.sha256"]),
)

versions = Table(
    "versions",
    metadata,
    Column("project_id", ForeignKey("projects.project_id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("cause", Text, nullable=False),
    Column("partial", Boolean, nullable=False),
    Column("title", Text, nullable=False),
    Column("generation_id", Text, nullable=False),
    Column("file_count", Integer, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    # A Receipt, serialized; empty where no model made the version.
    Column("receipt", LargeBinary, nullable=False, server_default=text("''")),
    _created_at(),
    Index(
        "versions_project_id_generation_id_idx",
        "project_id",
        "generation_id",
        unique=True,
        postgresql_where=text("generation_id <> ''"),
    ),
)

version_files = Table(
    "version_files",
    metadata,
    Column("project_id", BYTEWISE, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("path", BYTEWISE, primary_key=True),
    Column("owner_id", BYTEWISE, nullable=False),
    Column("sha256", BYTEWISE, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("updated_at", MOMENT, nullable=False),
    ForeignKeyConstraint(
        ["project_id", "version"], ["versions.project_id", "versions.number"], ondelete="CASCADE"
    ),
    ForeignKeyConstraint(["owner_id", "sha256"], ["blobs.owner_id", "blobs.sha256"]),
)

# The highest lease number of a generation that has written, and what its commit came to.
fences = Table(
    "fences",
    metadata,
    Column("project_id", ForeignKey("projects.project_id", ondelete="CASCADE"), primary_key=True),
    Column("generation_id", BYTEWISE, primary_key=True),
    Column("epoch", Integer, nullable=False),
    Column("committed_epoch", Integer),
    Column("committed_version", Integer),
    Column("committed_created", Boolean),
)

# What writes answered, by their operation ids.
operations = Table(
    "operations",
    metadata,
    Column("project_id", ForeignKey("projects.project_id", ondelete="CASCADE"), primary_key=True),
    Column("operation_id", BYTEWISE, primary_key=True),
    Column("request_sha256", Text, nullable=False),
    Column("answer", JSONB, nullable=False),
    _created_at(),
)

# One row: whoever raises it holds it until the commit, so that sequence numbers have no gap and the order of commits.
change_counter = Table(
    "change_counter",
    metadata,
    Column("single", Boolean, primary_key=True, server_default=text("true")),
    Column("last", BigInteger, nullable=False),
    CheckConstraint("single", name="single"),
)

# Outlives the projects that it tells of.
changes = Table(
    "changes",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("project_id", Text, nullable=False),
    Column("owner_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("persistent_sandbox", Boolean, nullable=False, server_default=text("false")),
    _created_at(),
    Index("changes_project", "project_id", "sequence"),
)
