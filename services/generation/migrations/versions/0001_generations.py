"""Generations, their events, transcripts, tool results and usage."""

from alembic import op

revision = "0001"
down_revision = None

STATEMENTS = (
    """
    CREATE TABLE change_cursors (
        source text NOT NULL,
        sequence bigint NOT NULL,
        PRIMARY KEY (source)
    )
    """,
    """
    CREATE TABLE generation_usage (
        generation_id text NOT NULL,
        agent text DEFAULT '' NOT NULL,
        turn integer NOT NULL,
        epoch integer NOT NULL,
        attempt integer NOT NULL,
        owner_id text NOT NULL,
        project_id text NOT NULL,
        model text NOT NULL,
        input_tokens integer DEFAULT 0 NOT NULL,
        output_tokens integer DEFAULT 0 NOT NULL,
        cache_read_tokens integer DEFAULT 0 NOT NULL,
        cache_write_tokens integer DEFAULT 0 NOT NULL,
        cost_usd numeric(16, 9) DEFAULT 0 NOT NULL,
        estimated boolean DEFAULT false NOT NULL,
        created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
        PRIMARY KEY (generation_id, agent, turn, epoch, attempt)
    )
    """,
    "CREATE INDEX generation_usage_of_owner ON generation_usage (owner_id, created_at)",
    """
    CREATE TABLE generations (
        generation_id text NOT NULL,
        owner_id text NOT NULL,
        project_id text NOT NULL,
        prompt text NOT NULL,
        model text NOT NULL,
        status text NOT NULL,
        idempotency_key text,
        body_hash text DEFAULT '' NOT NULL,
        epoch integer DEFAULT 0 NOT NULL,
        lease_until timestamptz,
        worker text DEFAULT '' NOT NULL,
        not_before timestamptz DEFAULT clock_timestamp() NOT NULL,
        cancel_requested_at timestamptz,
        sandbox_id text DEFAULT '' NOT NULL,
        sandbox_url text DEFAULT '' NOT NULL,
        preview_url text DEFAULT '' NOT NULL,
        input_tokens integer DEFAULT 0 NOT NULL,
        output_tokens integer DEFAULT 0 NOT NULL,
        cache_read_tokens integer DEFAULT 0 NOT NULL,
        cache_write_tokens integer DEFAULT 0 NOT NULL,
        cost_usd numeric(16, 9) DEFAULT 0 NOT NULL,
        estimated boolean DEFAULT false NOT NULL,
        turns integer DEFAULT 0 NOT NULL,
        mode text DEFAULT 'single' NOT NULL,
        max_cost_usd numeric(16, 9) DEFAULT 0 NOT NULL,
        reserved_usd numeric(16, 9) DEFAULT 0 NOT NULL,
        queue_position integer DEFAULT 0 NOT NULL,
        readying integer DEFAULT 0 NOT NULL,
        check_result bytea DEFAULT '' NOT NULL,
        version integer DEFAULT 0 NOT NULL,
        failure_reason text DEFAULT '' NOT NULL,
        failure_message text DEFAULT '' NOT NULL,
        failure_keeps_work boolean DEFAULT false NOT NULL,
        restarts integer DEFAULT 0 NOT NULL,
        last_sequence integer DEFAULT 0 NOT NULL,
        created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
        started_at timestamptz,
        ended_at timestamptz,
        deleted_at timestamptz,
        forgotten boolean DEFAULT false NOT NULL,
        PRIMARY KEY (generation_id),
        CONSTRAINT generations_status CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled'))
    )
    """,
    """
    CREATE INDEX generations_deleted ON generations (deleted_at)
        WHERE deleted_at IS NOT NULL
    """,
    """
    CREATE UNIQUE INDEX generations_idempotency ON generations (owner_id, idempotency_key)
        WHERE idempotency_key IS NOT NULL
    """,
    """
    CREATE INDEX generations_kept ON generations (ended_at)
        WHERE NOT forgotten
    """,
    """
    CREATE INDEX generations_kept_of_owner ON generations (owner_id)
        WHERE NOT forgotten
    """,
    """
    CREATE INDEX generations_of_project ON generations (project_id, created_at, generation_id)
    """,
    """
    CREATE INDEX generations_queue ON generations (created_at, generation_id)
        WHERE status = 'queued'
    """,
    """
    CREATE INDEX generations_queue_of_owner ON generations (owner_id)
        WHERE status IN ('queued', 'running')
    """,
    """
    CREATE UNIQUE INDEX generations_running ON generations (project_id)
        WHERE status = 'running'
    """,
    """
    CREATE TABLE generation_events (
        generation_id text NOT NULL,
        sequence integer NOT NULL,
        kind text NOT NULL,
        payload bytea NOT NULL,
        created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
        PRIMARY KEY (generation_id, sequence),
        FOREIGN KEY (generation_id) REFERENCES generations (generation_id) ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE generation_attachments (
        generation_id text NOT NULL,
        position integer NOT NULL,
        name text NOT NULL,
        media_type text NOT NULL,
        size_bytes integer NOT NULL,
        content bytea,
        PRIMARY KEY (generation_id, position),
        FOREIGN KEY (generation_id) REFERENCES generations (generation_id) ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE generation_known_files (
        generation_id text NOT NULL,
        agent text DEFAULT '' NOT NULL,
        path text NOT NULL,
        sha256 text NOT NULL,
        shown boolean DEFAULT false NOT NULL,
        PRIMARY KEY (generation_id, agent, path),
        FOREIGN KEY (generation_id) REFERENCES generations (generation_id) ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE generation_own_files (
        generation_id text NOT NULL,
        agent text DEFAULT '' NOT NULL,
        path text NOT NULL,
        sha256 text NOT NULL,
        PRIMARY KEY (generation_id, agent, path, sha256),
        FOREIGN KEY (generation_id) REFERENCES generations (generation_id) ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE generation_messages (
        generation_id text NOT NULL,
        agent text DEFAULT '' NOT NULL,
        position integer NOT NULL,
        turn integer NOT NULL,
        role text NOT NULL,
        content json NOT NULL,
        stop_reason text DEFAULT '' NOT NULL,
        created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
        PRIMARY KEY (generation_id, agent, position),
        FOREIGN KEY (generation_id) REFERENCES generations (generation_id) ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE generation_tool_results (
        generation_id text NOT NULL,
        operation_id text NOT NULL,
        agent text DEFAULT '' NOT NULL,
        tool_use_id text NOT NULL,
        tool text NOT NULL,
        path text DEFAULT '' NOT NULL,
        result text NOT NULL,
        is_error boolean DEFAULT false NOT NULL,
        created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
        PRIMARY KEY (generation_id, operation_id),
        FOREIGN KEY (generation_id) REFERENCES generations (generation_id) ON DELETE CASCADE
    )
    """,
)


def upgrade() -> None:
    """Makes everything."""
    for statement in STATEMENTS:
        op.execute(statement)
