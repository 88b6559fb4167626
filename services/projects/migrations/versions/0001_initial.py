"""Accounts, projects, the content store, versions and the change log."""

from alembic import op

revision = "0001"
down_revision = None

STATEMENTS = (
    """
    CREATE TABLE users (
        user_id text COLLATE "C" PRIMARY KEY,
        email text NOT NULL,
        email_key text COLLATE "C" NOT NULL UNIQUE,
        display_name text NOT NULL,
        password_hash text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    """
    CREATE TABLE sessions (
        session_id text COLLATE "C" PRIMARY KEY,
        user_id text COLLATE "C" NOT NULL REFERENCES users ON DELETE CASCADE,
        created_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz NOT NULL,
        ended_at timestamptz
    )
    """,
    "CREATE INDEX sessions_user_id_idx ON sessions (user_id)",
    """
    CREATE TABLE refresh_tokens (
        token_sha256 bytea PRIMARY KEY,
        session_id text COLLATE "C" NOT NULL REFERENCES sessions ON DELETE CASCADE,
        created_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz NOT NULL,
        used_at timestamptz
    )
    """,
    "CREATE INDEX refresh_tokens_session_id_idx ON refresh_tokens (session_id)",
    """
    CREATE TABLE projects (
        project_id text COLLATE "C" PRIMARY KEY,
        owner_id text COLLATE "C" NOT NULL REFERENCES users ON DELETE CASCADE,
        name text NOT NULL,
        description text NOT NULL,
        model text NOT NULL DEFAULT '',
        head_version integer NOT NULL DEFAULT 0,
        last_version integer NOT NULL DEFAULT 0,
        sandbox_id text NOT NULL DEFAULT '',
        sandbox_status text NOT NULL DEFAULT 'inactive',
        sandbox_revision bigint NOT NULL DEFAULT 0,
        persistent_sandbox boolean NOT NULL DEFAULT false,
        file_count integer NOT NULL DEFAULT 0,
        size_bytes integer NOT NULL DEFAULT 0,
        idempotency_key text,
        request_sha256 text,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "CREATE INDEX projects_owner_id_project_id_idx ON projects (owner_id, project_id)",
    """
    CREATE UNIQUE INDEX projects_owner_id_idempotency_key_idx ON projects (owner_id, idempotency_key)
        WHERE idempotency_key IS NOT NULL
    """,
    """
    CREATE TABLE blobs (
        owner_id text COLLATE "C" REFERENCES users ON DELETE CASCADE,
        sha256 text COLLATE "C",
        size_bytes integer NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (owner_id, sha256)
    )
    """,
    """
    CREATE TABLE blob_chunks (
        owner_id text COLLATE "C",
        sha256 text COLLATE "C",
        position integer,
        data bytea NOT NULL CONSTRAINT blob_chunks_data_size_check
            CHECK (octet_length(data) BETWEEN 1 AND 1048576),
        PRIMARY KEY (owner_id, sha256, position),
        FOREIGN KEY (owner_id, sha256) REFERENCES blobs ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE project_files (
        project_id text COLLATE "C" REFERENCES projects ON DELETE CASCADE,
        path text COLLATE "C",
        owner_id text COLLATE "C" NOT NULL,
        sha256 text COLLATE "C" NOT NULL,
        size_bytes integer NOT NULL,
        updated_at timestamptz NOT NULL,
        PRIMARY KEY (project_id, path),
        FOREIGN KEY (owner_id, sha256) REFERENCES blobs
    )
    """,
    """
    CREATE TABLE versions (
        project_id text COLLATE "C" REFERENCES projects ON DELETE CASCADE,
        number integer,
        cause text NOT NULL,
        partial boolean NOT NULL,
        title text NOT NULL,
        generation_id text NOT NULL,
        file_count integer NOT NULL,
        size_bytes integer NOT NULL,
        receipt bytea NOT NULL DEFAULT '',
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (project_id, number)
    )
    """,
    """
    CREATE UNIQUE INDEX versions_project_id_generation_id_idx ON versions (project_id, generation_id)
        WHERE generation_id <> ''
    """,
    """
    CREATE TABLE version_files (
        project_id text COLLATE "C",
        version integer,
        path text COLLATE "C",
        owner_id text COLLATE "C" NOT NULL,
        sha256 text COLLATE "C" NOT NULL,
        size_bytes integer NOT NULL,
        updated_at timestamptz NOT NULL,
        PRIMARY KEY (project_id, version, path),
        FOREIGN KEY (project_id, version) REFERENCES versions ON DELETE CASCADE,
        FOREIGN KEY (owner_id, sha256) REFERENCES blobs
    )
    """,
    """
    CREATE TABLE fences (
        project_id text COLLATE "C" REFERENCES projects ON DELETE CASCADE,
        generation_id text COLLATE "C",
        epoch integer NOT NULL,
        committed_epoch integer,
        committed_version integer,
        committed_created boolean,
        PRIMARY KEY (project_id, generation_id)
    )
    """,
    """
    CREATE TABLE operations (
        project_id text COLLATE "C" REFERENCES projects ON DELETE CASCADE,
        operation_id text COLLATE "C",
        request_sha256 text NOT NULL,
        answer jsonb NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (project_id, operation_id)
    )
    """,
    """
    CREATE TABLE change_counter (
        single boolean PRIMARY KEY DEFAULT true CONSTRAINT change_counter_single_check CHECK (single),
        last bigint NOT NULL
    )
    """,
    "INSERT INTO change_counter (last) VALUES (0)",
    """
    CREATE TABLE changes (
        sequence bigint PRIMARY KEY,
        project_id text NOT NULL,
        owner_id text NOT NULL,
        kind text NOT NULL,
        version integer NOT NULL,
        persistent_sandbox boolean NOT NULL DEFAULT false,
        created_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "CREATE INDEX changes_project ON changes (project_id, sequence)",
)


def upgrade() -> None:
    """Makes all tables."""
    for statement in STATEMENTS:
        op.execute(statement)
