"""The tables and their column types, as the statements see them.

Only the migrations create the tables; `alembic check` compares the two.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    TIMESTAMP,
    BigInteger,
    CheckConstraint,
    Column,
    Dialect,
    Index,
    Integer,
    Interval,
    MetaData,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSON, JSONB
from sqlalchemy.types import TypeDecorator, TypeEngine

from ..lifetime import FIRST_TIME, LAST_TIME

REVISIONS: Final = ("0001", "0002")
"""The schema revisions that this version of the library knows, oldest first. The library needs the last one."""

_SINCE: Final = "since"
"""The key, in the ``info`` of a column, of the revision that brought the column."""
_ITEMS_CAME: Final = {_SINCE: "0002"}

VERSION_TABLE: Final = "sessionstore_version"
"""The table in which Alembic keeps the revision. Its name differs from Alembic's default, which the service may use."""

SESSIONS: Final = "sessions"
"""The name of the table of sessions."""

ITEMS: Final = "items"
"""The name of the table of items."""

DELETIONS: Final = "deletions"
"""The name of the table of deletion receipts."""

COMMENT: Final = (
    "Belongs to the Python package sessionstore, which migrates it. In the env.py of another Alembic: "
    "from sessionstore.migrate import include_object; context.configure(..., include_object=include_object)"
)
"""The comment of our tables in PostgreSQL, for people whose Alembic finds the tables and would drop them."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

FIRST_INSTANT: Final = datetime.min.replace(tzinfo=UTC)
"""A lower bound for every timestamp in the table."""

# FIRST_INSTANT as each driver takes it. It has to be below timestamps in the table that Python cannot represent.
_FIRST_BOUND: Final[dict[str, datetime | int | str]] = {
    "aiosqlite": -(2**63),
    "psycopg": "-infinity",
    "asyncpg": datetime.min,  # noqa: DTZ901  # which asyncpg takes for -infinity, and only without a time zone
}


class Instant(TypeDecorator[datetime]):
    """An aware datetime in UTC: ``timestamptz`` in PostgreSQL, microseconds since 1970 in SQLite."""

    impl = TIMESTAMP(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return Integer() if dialect.name == "sqlite" else TIMESTAMP(timezone=True)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | int | str | None:
        if value == FIRST_INSTANT:
            return _FIRST_BOUND.get(dialect.driver, value)
        if value is None or dialect.name != "sqlite":
            return value
        return (value - _EPOCH) // _MICROSECOND

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:  # a function of one value
        # Skips TypeDecorator's wrapper function, because each session has five timestamps.
        return _instant_of_micros if dialect.name == "sqlite" else _instant_in_utc


def instant_of_micros(value: int) -> datetime:
    """Converts microseconds since 1970 to a timestamp. Limits it to those that Python can represent."""
    try:
        return _EPOCH + timedelta(microseconds=value)
    except OverflowError:
        return FIRST_TIME if value < 0 else LAST_TIME


def _instant_of_micros(value: int | None) -> datetime | None:
    return None if value is None else instant_of_micros(value)


def _instant_in_utc(value: datetime | None) -> datetime | None:
    if value is None or value.tzinfo is UTC:
        return value
    if value.tzinfo is None:
        # asyncpg reads -infinity and infinity as datetime.min and datetime.max, without a time zone.
        raise OverflowError("the timestamp is infinite")
    # PostgreSQL answers in the time zone of its session, which the server or the role may set.
    return value.astimezone(UTC)


class Duration(TypeDecorator[timedelta]):
    """A timedelta: ``interval`` in PostgreSQL, microseconds in SQLite. Bound as microseconds, see `micros()`."""

    impl = Interval
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return Integer() if dialect.name == "sqlite" else Interval()

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:  # a function of one value, or None
        return _duration_of_micros if dialect.name == "sqlite" else None


def _duration_of_micros(value: int | None) -> timedelta | None:
    return None if value is None else timedelta(microseconds=value)


def micros(duration: timedelta | None) -> int | None:
    """Converts a duration to the value of a bind parameter: microseconds.

    Drivers would send an ``interval`` in days, and to PostgreSQL a day may have 23 or 25 hours.
    """
    return None if duration is None else duration // _MICROSECOND


# The collation "C" compares bytes, as SQLite and Python's strings do. This order is the same on every operating system,
# and makes a prefix a range of the primary key.
KEY: Final[TypeEngine[Any]] = Text(collation="C").with_variant(Text(), "sqlite")
DOCUMENT: Final[TypeEngine[Any]] = JSONB().with_variant(Text(), "sqlite")
"""The type of a JSON document. Documents are sent as text, cast in the database, and decoded once, into a state."""


NUMBER: Final[TypeEngine[Any]] = BigInteger().with_variant(Integer(), "sqlite")
VERBATIM: Final[TypeEngine[Any]] = JSON(none_as_null=True).with_variant(Text(), "sqlite")
"""The type of an item: JSON text that the database keeps character by character."""


def is_document(type_: TypeEngine[Any]) -> bool:
    """Whether this is the type of a JSON document."""
    return isinstance(type_, JSONB)


def sessions_table(metadata: MetaData, *, sqlite: bool, revision: str = REVISIONS[-1]) -> Table:
    """Defines the table ``sessions`` in the schema of the metadata, as it is at a revision."""
    columns: tuple[Column[Any], ...] = (
        Column("namespace", KEY, primary_key=True),
        Column("session_id", KEY, primary_key=True),
        Column("state", DOCUMENT, nullable=False),
        Column("origin", DOCUMENT),
        Column("owner_id", KEY),
        Column("version", NUMBER, nullable=False),
        Column("writes", KEY, nullable=False, server_default=""),
        Column("keys", KEY, nullable=False, server_default=""),
        Column("ttl", Duration()),
        Column("created_at", Instant(), nullable=False),
        Column("updated_at", Instant(), nullable=False),
        Column("last_accessed_at", Instant(), nullable=False),
        Column("expires_at", Instant()),
        Column("deadline", Instant()),
        Column("last_position", NUMBER, nullable=False, server_default="0", info=_ITEMS_CAME),
        Column("item_count", NUMBER, nullable=False, server_default="0", info=_ITEMS_CAME),
        Column("appends", KEY, nullable=False, server_default="", info=_ITEMS_CAME),
        Column("lost_appends", KEY, nullable=False, server_default="", info=_ITEMS_CAME),
        Column("state_version", Integer(), nullable=False, server_default="1", info=_ITEMS_CAME),
        Column("state_version_at", NUMBER, info=_ITEMS_CAME),
    )
    there = [column for column in columns if column.info.get(_SINCE, REVISIONS[0]) <= revision]
    table = Table(SESSIONS, metadata, *there, comment=COMMENT, sqlite_strict=True)
    for name, indexed, needed in (
        ("ix_sessions_expires_at", [table.c.expires_at], table.c.expires_at),
        ("ix_sessions_namespace_owner_id", [table.c.namespace, table.c.owner_id], table.c.owner_id),
    ):
        Index(name, *indexed, postgresql_where=needed.is_not(None), sqlite_where=needed.is_not(None))
    if sqlite:
        for document, valid in (("state", "json_valid(state)"), ("origin", "origin IS NULL OR json_valid(origin)")):
            table.append_constraint(CheckConstraint(valid, name=f"ck_sessions_{document}_is_json"))
    return table


def items_table(metadata: MetaData) -> Table:
    """Defines the table ``items``, which holds the items of all sessions.

    Triggers of the table ``sessions`` delete the items of a session that is deleted or replaced.
    """
    table = Table(
        ITEMS,
        metadata,
        Column("namespace", KEY, primary_key=True),
        Column("session_id", KEY, primary_key=True),
        Column("log", KEY, primary_key=True),
        Column("position", NUMBER, primary_key=True, autoincrement=False),
        Column("item", VERBATIM, nullable=False),
        Column("item_id", KEY),
        Column("write_id", KEY),
        Column("item_version", Integer(), nullable=False, server_default="1"),
        Column("created_at", Instant(), nullable=False),
        comment=COMMENT,
        sqlite_strict=True,
    )
    given = table.c.item_id.is_not(None)
    Index(
        "uq_items_namespace_item_id",
        table.c.namespace,
        table.c.item_id,
        table.c.session_id,
        unique=True,
        postgresql_where=given,
        sqlite_where=given,
    )
    return table


def deletions_table(metadata: MetaData) -> Table:
    """Defines the table ``deletions``, which holds a receipt of each deletion of the last hour.

    A deletion whose answer was lost is looked up there. SQLite needs no receipts, because no connection to a server
    can break.
    """
    table = Table(
        DELETIONS,
        metadata,
        Column("id", KEY, primary_key=True),
        Column("deleted_at", Instant(), nullable=False),
        comment=COMMENT,
    )
    Index("ix_deletions_deleted_at", table.c.deleted_at)
    return table
