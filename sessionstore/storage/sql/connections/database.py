"""What all engines of one dialect and schema share: the database's own SQL, the tables, and the statements."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NamedTuple

from sqlalchemy import Dialect, MetaData, Table

from ..dialects.dialect import Backend
from ..dialects.postgresql import PostgreSQL
from ..dialects.sqlite import SQLite
from ..revisions import PREVIOUS
from ..statements.compiled import Statements
from ..tables import deletions_table, items_table, sessions_table
from .catalogue import Catalogue

DATABASES: Final[Mapping[str, Callable[[Dialect], Backend]]] = {"postgresql": PostgreSQL, "sqlite": SQLite}
"""The kinds of databases, by the names of their dialects."""

_KINDS: Final = 16
"""For how many schemas the compiled statements are kept. A process with a schema per tenant would keep too many."""


class Database(NamedTuple):
    """The parts that all engines of one dialect and schema share, whatever database they connect to."""

    backend: Backend
    table: Table
    statements: Statements
    catalogue: Catalogue


def database(dialect: Dialect, schema: str | None) -> Database:
    """Returns the shared parts for engines of this dialect and schema. Their statements are compiled once for all."""
    dbapi = dialect.loaded_dbapi
    return _database(_Kind(type(dialect), schema, dbapi.Error, dbapi))


@dataclass(frozen=True)
class _Kind:
    dialect: type[Dialect]
    schema: str | None
    error: type[Exception]
    # Not compared, because SQLAlchemy makes a new object for each engine, around the same driver.
    dbapi: Any = field(compare=False)


@lru_cache(_KINDS)
def _database(kind: _Kind) -> Database:
    made: Any = kind.dialect
    dialect: Dialect = made(dbapi=kind.dbapi)
    sqlite = dialect.name == "sqlite"
    backend = DATABASES[dialect.name](dialect)
    metadata = MetaData(schema=kind.schema)
    table = sessions_table(metadata, sqlite=sqlite)
    items = items_table(metadata)
    deletions = None if sqlite else deletions_table(metadata)
    before = MetaData(schema=kind.schema)
    previous = Statements(
        sessions_table(before, sqlite=sqlite, revision=PREVIOUS),
        None,
        None if sqlite else deletions_table(before),
        backend,
    )
    statements = Statements(table, items, deletions, backend, previous)
    return Database(backend, table, statements, Catalogue(backend, kind.schema))
