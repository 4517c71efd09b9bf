"""The sessions table.

Revision ID: 0001
Revises:
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = ("sessionstore",)
depends_on = None

# Every touch and write of a session makes a dead tuple: what a fifth of a table of ten million rows would leave lying
# before autovacuum's defaults (20 %) come by is a whole working set.
_STORAGE = """
    fillfactor = 80,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.02,
    toast.autovacuum_vacuum_scale_factor = 0.02,
    toast.autovacuum_vacuum_threshold = 1000
"""


def upgrade(schema: str | None = None) -> None:
    if op.get_context().dialect.name == "sqlite":
        _upgrade_sqlite()
    else:
        _upgrade_postgresql(schema)


def downgrade(schema: str | None = None) -> None:
    if op.get_context().dialect.name != "sqlite":
        op.drop_table("deletions", schema=schema)
    op.drop_table("sessions", schema=schema)


def _upgrade_postgresql(schema: str | None) -> None:
    instant = sa.TIMESTAMP(timezone=True)
    # "C" compares bytes: a prefix is a range of the key, and no upgrade of the C library can corrupt the index.
    key = sa.Text(collation="C")
    op.create_table(
        "sessions",
        sa.Column("namespace", key, nullable=False),
        sa.Column("session_id", key, nullable=False),
        sa.Column("state", JSONB(), nullable=False),
        sa.Column("origin", JSONB()),
        sa.Column("owner_id", key),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("writes", key, nullable=False, server_default=""),
        sa.Column("keys", key, nullable=False, server_default=""),
        sa.Column("ttl", sa.Interval()),
        sa.Column("created_at", instant, nullable=False),
        sa.Column("updated_at", instant, nullable=False),
        sa.Column("last_accessed_at", instant, nullable=False),
        sa.Column("expires_at", instant),
        sa.Column("deadline", instant),
        sa.PrimaryKeyConstraint("namespace", "session_id", name="sessions_pkey"),
        schema=schema,
    )
    _create_indexes(schema)
    op.create_table(
        "deletions",
        sa.Column("id", key, nullable=False),
        sa.Column("deleted_at", instant, nullable=False),
        sa.PrimaryKeyConstraint("id", name="deletions_pkey"),
        schema=schema,
    )
    op.create_index("ix_deletions_deleted_at", "deletions", ["deleted_at"], schema=schema)
    preparer = op.get_context().dialect.identifier_preparer
    table = f"{preparer.quote_schema(schema)}.sessions" if schema else "sessions"
    op.execute(f"ALTER TABLE {table} SET ({_STORAGE})")
    # lz4 is faster than pglz for states of some kilobytes, but a server may have been built without it: ask.
    alter = f"ALTER TABLE {table} ALTER COLUMN state SET COMPRESSION lz4".replace("'", "''")
    op.execute(
        f"""
        DO $do$ BEGIN
            IF EXISTS (
                SELECT FROM pg_settings WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)
            ) THEN
                EXECUTE '{alter}';
            END IF;
        END $do$
        """
    )


def _upgrade_sqlite() -> None:
    # Instants and durations are microseconds. STRICT, because SQLite would take a text for any of them.
    op.create_table(
        "sessions",
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text()),
        sa.Column("owner_id", sa.Text()),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("writes", sa.Text(), nullable=False, server_default=""),
        sa.Column("keys", sa.Text(), nullable=False, server_default=""),
        sa.Column("ttl", sa.Integer()),
        sa.Column("created_at", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.Integer(), nullable=False),
        sa.Column("last_accessed_at", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.Integer()),
        sa.Column("deadline", sa.Integer()),
        sa.PrimaryKeyConstraint("namespace", "session_id", name="sessions_pkey"),
        sa.CheckConstraint("json_valid(state)", name="ck_sessions_state_is_json"),
        sa.CheckConstraint("origin IS NULL OR json_valid(origin)", name="ck_sessions_origin_is_json"),
        sqlite_strict=True,
    )
    _create_indexes(None)


def _create_indexes(schema: str | None) -> None:
    for name, columns, where in (
        ("ix_sessions_expires_at", ["expires_at"], "expires_at IS NOT NULL"),
        ("ix_sessions_namespace_owner_id", ["namespace", "owner_id"], "owner_id IS NOT NULL"),
    ):
        condition = sa.text(where)
        op.create_index(name, "sessions", columns, schema=schema, postgresql_where=condition, sqlite_where=condition)
