"""The one table, as the statements see it. It is made by the migrations alone; `alembic check` compares the two."""

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
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator, TypeEngine

REVISIONS: Final = ("0001",)
"""The migrations that this version knows, oldest first; it works with the last one."""

VERSION_TABLE: Final = "sessionstore_version"
"""Where Alembic notes the revision; a name of its own, so that it never meets the service's."""

DELETIONS: Final = "deletions"
"""The table of the receipts of deletions."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

FIRST_INSTANT: Final = datetime.min.replace(tzinfo=UTC)
"""Before any time that is in the table."""

# It, as each driver says it: a hand may have written what Python has no datetime for.
_FIRST_BOUND: Final[dict[str, datetime | int | str]] = {
    "aiosqlite": -(2**63),
    "psycopg": "-infinity",
    "asyncpg": datetime.min,  # noqa: DTZ901  # which asyncpg takes for -infinity, and only without a time zone
}
# Databases count further than Python, and drivers less far, in the time zone of their session. What a hand wrote beyond
# is read as these: that far off, it is the same to everybody.
FIRST_READ: Final = datetime(1, 1, 3, tzinfo=UTC)
LAST_READ: Final = datetime(9999, 12, 29, tzinfo=UTC)
LONGEST: Final = timedelta(days=2_000_000)
"""The longest TTL that is reckoned with, forth and back."""


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
        # Without TypeDecorator's function around it: a session has five of these.
        return _instant_of_micros if dialect.name == "sqlite" else _instant_in_utc


def _instant_of_micros(value: int | None) -> datetime | None:
    try:
        return None if value is None else _EPOCH + timedelta(microseconds=value)
    except OverflowError:
        return FIRST_READ if value is not None and value < 0 else LAST_READ


def _instant_in_utc(value: datetime | None) -> datetime | None:
    if value is None or value.tzinfo is UTC:
        return value
    if value.tzinfo is None:
        raise OverflowError("asyncpg reads the infinities as the first and last time of Python's")
    # PostgreSQL answers in the time zone of its session, which is the server's or the role's choice.
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
    """A duration as it is bound.

    As an ``interval``, drivers would send days, and to PostgreSQL a day may have 23 or 25 hours.
    """
    return None if duration is None else duration // _MICROSECOND


# "C" compares bytes: the order of SQLite and of Python's strings, the same on every operating system, and the one in
# which a prefix is a range of the primary key.
KEY: Final[TypeEngine[Any]] = Text(collation="C").with_variant(Text(), "sqlite")
DOCUMENT: Final[TypeEngine[Any]] = JSONB().with_variant(Text(), "sqlite")
"""A JSON document. It crosses as text, cast in the database, and is decoded once, straight into a state."""


def is_document(type_: TypeEngine[Any]) -> bool:
    """Whether this is the type of a JSON document."""
    return isinstance(type_, JSONB)


def sessions_table(metadata: MetaData, *, sqlite: bool) -> Table:
    """The table ``sessions`` in the schema of the metadata."""
    table = Table(
        "sessions",
        metadata,
        Column("namespace", KEY, primary_key=True),
        Column("session_id", KEY, primary_key=True),
        Column("state", DOCUMENT, nullable=False),
        Column("origin", DOCUMENT),
        Column("owner_id", KEY),
        Column("version", BigInteger().with_variant(Integer(), "sqlite"), nullable=False),
        Column("writes", KEY, nullable=False, server_default=""),
        Column("keys", KEY, nullable=False, server_default=""),
        Column("ttl", Duration()),
        Column("created_at", Instant(), nullable=False),
        Column("updated_at", Instant(), nullable=False),
        Column("last_accessed_at", Instant(), nullable=False),
        Column("expires_at", Instant()),
        Column("deadline", Instant()),
        sqlite_strict=True,
    )
    for name, columns, needed in (
        ("ix_sessions_expires_at", [table.c.expires_at], table.c.expires_at),
        ("ix_sessions_namespace_owner_id", [table.c.namespace, table.c.owner_id], table.c.owner_id),
    ):
        Index(name, *columns, postgresql_where=needed.is_not(None), sqlite_where=needed.is_not(None))
    if sqlite:
        for document, valid in (("state", "json_valid(state)"), ("origin", "origin IS NULL OR json_valid(origin)")):
            table.append_constraint(CheckConstraint(valid, name=f"ck_sessions_{document}_is_json"))
    return table


def deletions_table(metadata: MetaData) -> Table:
    """The table ``deletions``: what deletes, whose answers may have been lost, can be told by.

    SQLite has none: there is no connection between a caller and a file that could break.
    """
    table = Table(
        DELETIONS,
        metadata,
        Column("id", KEY, primary_key=True),
        Column("deleted_at", Instant(), nullable=False),
    )
    Index("ix_deletions_deleted_at", table.c.deleted_at)
    return table
