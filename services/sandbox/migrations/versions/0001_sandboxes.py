"""Sandboxes, what is to be reported of them, who may write, and what was read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

OPEN = sa.text("status <> 'closed'")


def upgrade() -> None:
    """Makes the tables."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "sandboxes",
        sa.Column("sandbox_id", sa.Text, primary_key=True),
        sa.Column("project_id", sa.Text, nullable=False),
        sa.Column("owner_id", sa.Text, nullable=False),
        sa.Column("vendor_id", sa.Text, nullable=False, server_default=""),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("close_reason", sa.Text),
        sa.Column("url", sa.Text, nullable=False, server_default=""),
        sa.Column("generation_id", sa.Text, nullable=False, server_default=""),
        sa.Column("attempt", sa.Integer, nullable=False, server_default="1"),
        sa.Column("attempt_until", moment, nullable=False),
        sa.Column("unsettled", sa.Boolean, nullable=False, server_default="false"),
        sa.Column("dirt", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("reset", sa.Boolean, nullable=False, server_default="false"),
        sa.Column("removing", sa.ARRAY(sa.Text), nullable=False, server_default="{}"),
        sa.Column("persistent", sa.Boolean),
        sa.Column("created_at", moment, nullable=False, server_default=sa.text("now()")),
        sa.Column("started_at", moment, nullable=False, server_default=sa.text("now()")),
        sa.Column("expires_at", moment, nullable=False),
        sa.Column("used_at", moment, nullable=False, server_default=sa.text("now()")),
        sa.Column("paused_at", moment),
        sa.Column("rest_seconds", sa.Float, nullable=False, server_default="0"),
        sa.Column("closed_at", moment),
        sa.CheckConstraint(
            "status IN ('creating', 'active', 'paused', 'closed')", name="sandboxes_status_known"
        ),
        sa.CheckConstraint(
            "(status = 'closed') = (close_reason IS NOT NULL)", name="sandboxes_closed_has_reason"
        ),
        sa.CheckConstraint(
            "status <> 'paused' OR paused_at IS NOT NULL", name="sandboxes_paused_has_moment"
        ),
    )
    op.create_index(
        "sandboxes_open_project", "sandboxes", ["project_id"], unique=True, postgresql_where=OPEN
    )
    op.create_index("sandboxes_open_owner", "sandboxes", ["owner_id"], postgresql_where=OPEN)
    op.create_index("sandboxes_open_expiry", "sandboxes", ["expires_at"], postgresql_where=OPEN)
    op.create_index("sandboxes_project", "sandboxes", ["project_id", "sandbox_id"])
    op.create_table(
        "intervals",
        sa.Column("interval_id", sa.BigInteger, primary_key=True),
        sa.Column("sandbox_id", sa.Text, nullable=False),
        sa.Column("project_id", sa.Text, nullable=False),
        sa.Column("owner_id", sa.Text, nullable=False),
        sa.Column("deployment", sa.Text, nullable=False),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("cpu_count", sa.Float, nullable=False),
        sa.Column("memory_mib", sa.Integer, nullable=False),
        sa.Column("started_at", moment, nullable=False, server_default=sa.text("now()")),
        sa.Column("ended_at", moment),
        sa.CheckConstraint("ended_at >= started_at", name="intervals_ends_after_start"),
    )
    op.create_index(
        "intervals_open_sandbox",
        "intervals",
        ["sandbox_id"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index("intervals_owner", "intervals", ["owner_id", "ended_at"])
    op.create_table(
        "commands",
        sa.Column("command_id", sa.Text, primary_key=True),
        sa.Column("sandbox_id", sa.Text, nullable=False),
        sa.Column("owner_id", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False, server_default="0"),
        sa.Column("begun_at", moment, nullable=False, server_default=sa.text("now()")),
        sa.Column("alive_until", moment, nullable=False),
        sa.Column("ended_at", moment),
    )
    op.create_index("commands_owner", "commands", ["owner_id", "begun_at"])
    op.create_index("commands_sandbox", "commands", ["sandbox_id"])
    op.create_index(
        "commands_running",
        "commands",
        ["alive_until"],
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "reports",
        sa.Column("project_id", sa.Text, primary_key=True),
        sa.Column("owner_id", sa.Text, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("reported_revision", sa.BigInteger, nullable=False, server_default="0"),
    )
    op.create_index(
        "reports_waiting",
        "reports",
        ["project_id"],
        postgresql_where=sa.text("reported_revision < revision"),
    )
    op.create_table(
        "epochs",
        sa.Column("project_id", sa.Text, primary_key=True),
        sa.Column("generation_id", sa.Text, primary_key=True),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("seen_at", moment, nullable=False, server_default=sa.text("now()")),
    )
    op.create_index("epochs_seen", "epochs", ["seen_at"])
    op.create_table(
        "left_changes",
        sa.Column("sequence", sa.BigInteger, primary_key=True),
        sa.Column("project_id", sa.Text, nullable=False),
        sa.Column("owner_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("persistent", sa.Boolean, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="1"),
        sa.Column("due_at", moment, nullable=False),
    )
    op.create_index("left_changes_due", "left_changes", ["due_at"])
    op.create_table(
        "cursors",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("sequence", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    """Drops the tables."""
    for table in (
        "cursors",
        "left_changes",
        "epochs",
        "reports",
        "commands",
        "intervals",
        "sandboxes",
    ):
        op.drop_table(table)
