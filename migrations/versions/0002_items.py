"""The items of sessions: a table of log entries, and their counters in the table of sessions. The shapes of states.

An expand migration: programs that know only the first revision go on working. They neither write the new columns nor
delete items. Triggers make sure that items end with their session, whichever program deletes or replaces its row.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from alembic.util import CommandError
from sqlalchemy.dialects.postgresql import JSON

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Rows are only added, except by redaction. The toast table is large where items are.
_STORAGE = """
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.02,
    toast.autovacuum_vacuum_scale_factor = 0.02,
    toast.autovacuum_vacuum_threshold = 1000
"""

# With the rights of the owner: the role of a program that knows only the first revision has none on the new table.
_DEFINER = """ SECURITY DEFINER SET search_path = pg_catalog, pg_temp"""

_OTHERS = ("deletions", "sessionstore_version")

# What a host sees whose Alembic finds our tables, and would drop them.
_COMMENT = (
    "Belongs to the Python package sessionstore, which migrates it. In the env.py of another Alembic: "
    "from sessionstore.migrate import include_object; context.configure(..., include_object=include_object)"
)

_FUNCTIONS = ("sessions_delete_items", "sessions_truncate_items", "sessions_replace_items")

# The queries of a trigger see what was committed while the statement waited for row locks. The statement itself does
# not, so a deletion in the statement could miss the newest items.
_POSTGRESQL_FUNCTIONS = (
    # Without these settings a plan that was made while the table was small would read the whole table later.
    """
    CREATE FUNCTION {schema}sessions_delete_items() RETURNS trigger LANGUAGE plpgsql{definer}
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
    AS $do$ BEGIN
        DELETE FROM {schema}items AS i USING gone
        WHERE gone.last_position > 0 AND i.namespace = gone.namespace AND i.session_id = gone.session_id;
        RETURN NULL;
    END $do$
    """,
    # An operator may truncate both tables in one command. The table of items is then in use, but empty.
    """
    CREATE FUNCTION {schema}sessions_truncate_items() RETURNS trigger LANGUAGE plpgsql{definer}
    AS $do$ BEGIN
        IF EXISTS (SELECT FROM {schema}items) THEN
            TRUNCATE {schema}items;
        END IF;
        RETURN NULL;
    END $do$
    """,
    # A new session takes the row of an expired one. Before the update, so that the first items of the new session stay.
    """
    CREATE FUNCTION {schema}sessions_replace_items() RETURNS trigger LANGUAGE plpgsql{definer}
    SET enable_seqscan = off
    AS $do$ BEGIN
        DELETE FROM {schema}items AS i WHERE i.namespace = OLD.namespace AND i.session_id = OLD.session_id;
        IF NEW.last_position = OLD.last_position AND NEW.appends = OLD.appends THEN
            NEW.last_position = 0;
            NEW.item_count = 0;
            NEW.appends = '';
            NEW.lost_appends = '';
        END IF;
        RETURN NEW;
    END $do$
    """,
)

_POSTGRESQL_TRIGGERS = (
    """
    CREATE TRIGGER sessions_delete_items AFTER DELETE ON {schema}sessions
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION {schema}sessions_delete_items()
    """,
    """
    CREATE TRIGGER sessions_truncate_items AFTER TRUNCATE ON {schema}sessions
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}sessions_truncate_items()
    """,
    """
    CREATE TRIGGER sessions_replace_items BEFORE UPDATE OF created_at ON {schema}sessions
    FOR EACH ROW WHEN (OLD.last_position > 0 AND OLD.created_at IS DISTINCT FROM NEW.created_at)
    EXECUTE FUNCTION {schema}sessions_replace_items()
    """,
)

_SQLITE_TRIGGERS = (
    """
    CREATE TRIGGER sessions_delete_items AFTER DELETE ON sessions WHEN OLD.last_position > 0
    BEGIN
        DELETE FROM items WHERE namespace = OLD.namespace AND session_id = OLD.session_id;
    END
    """,
    """
    CREATE TRIGGER sessions_replace_items BEFORE UPDATE OF created_at ON sessions
    WHEN OLD.last_position > 0 AND OLD.created_at <> NEW.created_at
    BEGIN
        DELETE FROM items WHERE namespace = OLD.namespace AND session_id = OLD.session_id;
    END
    """,
    """
    CREATE TRIGGER sessions_reset_items AFTER UPDATE OF created_at ON sessions
    WHEN OLD.last_position > 0 AND OLD.created_at <> NEW.created_at
        AND OLD.last_position = NEW.last_position AND OLD.appends = NEW.appends
    BEGIN
        UPDATE sessions SET last_position = 0, item_count = 0, appends = '', lost_appends = ''
        WHERE namespace = NEW.namespace AND session_id = NEW.session_id;
    END
    """,
)


def upgrade(schema: str | None = None) -> None:
    if "schema" not in op.get_context().opts:
        raise CommandError(
            "this directory is for sessionstore's own Alembic: write sessionstore:migrate/versions in version_locations"
        )
    sqlite = op.get_context().dialect.name == "sqlite"
    number = sa.Integer() if sqlite else sa.BigInteger()
    key = sa.Text() if sqlite else sa.Text(collation="C")
    op.create_table(
        "items",
        sa.Column("namespace", key, nullable=False),
        sa.Column("session_id", key, nullable=False),
        sa.Column("log", key, nullable=False),
        sa.Column("position", number, nullable=False),
        # Not jsonb, which sorts keys, refuses NUL characters and lone surrogates, and rewrites numbers.
        sa.Column("item", sa.Text() if sqlite else JSON(), nullable=False),
        sa.Column("item_id", key),
        sa.Column("write_id", key),
        sa.Column("item_version", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("created_at", sa.Integer() if sqlite else sa.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("namespace", "session_id", "log", "position", name="items_pkey"),
        schema=schema,
        sqlite_strict=True,
    )
    given = sa.text("item_id IS NOT NULL")
    op.create_index(
        "uq_items_namespace_item_id",
        "items",
        ["namespace", "item_id", "session_id"],
        unique=True,
        schema=schema,
        postgresql_where=given,
        sqlite_where=given,
    )
    if not sqlite:
        _finish_items(schema)
    # From here on, no other transaction can use the table of sessions: what takes longer is done before.
    for column in (
        sa.Column("last_position", number, nullable=False, server_default="0"),
        sa.Column("item_count", number, nullable=False, server_default="0"),
        sa.Column("appends", key, nullable=False, server_default=""),
        sa.Column("lost_appends", key, nullable=False, server_default=""),
        # The shape of the state, and the version that the row had then. A program that knows only the first revision
        # raises `version` alone, which tells that `state_version` does not speak of its state.
        sa.Column("state_version", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("state_version_at", number),
    ):
        op.add_column("sessions", column, schema=schema)
    if sqlite:
        for trigger in _SQLITE_TRIGGERS:
            op.execute(trigger)
        return
    prefix = _prefix(schema)
    for trigger in _POSTGRESQL_TRIGGERS:
        op.execute(trigger.format(schema=prefix))
    op.create_table_comment("sessions", _COMMENT, schema=schema)


def _finish_items(schema: str | None) -> None:
    prefix = _prefix(schema)
    op.execute(f"ALTER TABLE {prefix}items SET ({_STORAGE})")
    # lz4 is faster than pglz, but a server may have been built without it: ask.
    alter = f"ALTER TABLE {prefix}items ALTER COLUMN item SET COMPRESSION lz4".replace("'", "''")
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
    for function in _POSTGRESQL_FUNCTIONS:
        op.execute(function.format(schema=prefix, definer=_DEFINER if schema else ""))
    for name in _FUNCTIONS:
        op.execute(f"REVOKE ALL ON FUNCTION {prefix}{name}() FROM PUBLIC")
    for table in ("items", *_OTHERS):
        op.create_table_comment(table, _COMMENT, schema=schema)


def downgrade(schema: str | None = None) -> None:
    sqlite = op.get_context().dialect.name == "sqlite"
    if sqlite:
        for name in ("sessions_delete_items", "sessions_replace_items", "sessions_reset_items"):
            op.execute(f"DROP TRIGGER {name}")
    else:
        for table in _OTHERS:
            op.drop_table_comment(table, schema=schema)
        prefix = _prefix(schema)
        # Sessions before items, as programs lock the tables.
        for name in _FUNCTIONS:
            op.execute(f"DROP TRIGGER {name} ON {prefix}sessions")
        op.drop_table_comment("sessions", schema=schema)
    for column in ("state_version_at", "state_version", "lost_appends", "appends", "item_count", "last_position"):
        op.drop_column("sessions", column, schema=schema)
    op.drop_table("items", schema=schema)
    if not sqlite:
        for name in _FUNCTIONS:
            op.execute(f"DROP FUNCTION {_prefix(schema)}{name}()")


def _prefix(schema: str | None) -> str:
    preparer = op.get_context().dialect.identifier_preparer
    return f"{preparer.quote_schema(schema)}." if schema else ""
