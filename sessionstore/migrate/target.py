"""Target: the database and schema to migrate, and how long to wait for locks."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import URL, MetaData
from sqlalchemy.sql.ddl import CreateSchema

from .. import config
from ..storage.sql.tables import VERSION_TABLE, deletions_table, items_table, sessions_table
from ..storage.sql.urls.options import PREPARED, own_options
from ..storage.sql.urls.sqlite import file_of
from ..storage.sql.urls.url import read_url
from .waits import LockWait


@dataclass(frozen=True, slots=True)
class Target:
    """The database and the schema to migrate.

    Attributes:
        url: The URL for create_engine().
        connect_args: The driver's arguments.
        schema: The PostgreSQL schema of the tables; None: the database is SQLite.
        lock_wait: How long to wait for locks.
        pooled: Whether the URL leads to a pooler.
    """

    url: URL
    connect_args: Mapping[str, Any] = field(repr=False)
    schema: str | None
    lock_wait: LockWait
    pooled: bool = False

    @classmethod
    def of(cls, url: str | None, schema: str | None, lock_timeout: timedelta | None = None) -> Target:
        """Returns the target that the arguments name. Missing arguments are taken from the environment.

        Raises:
            ConfigurationError: The URL, the schema or the timeout is invalid.
        """
        address = read_url(config.database_url(url), synchronous=True)
        sqlite = address.backend == "sqlite"
        named = None if sqlite else config.schema_name(schema)
        prepared = own_options(address.backend, address.own, {}).get(PREPARED, True)
        lock_wait = LockWait.of(lock_timeout, sqlite=sqlite)
        return cls(address.url, address.connect_args, named, lock_wait, pooled=not prepared)

    @classmethod
    def from_environment(cls) -> Target:
        """Returns the target of ``SESSIONSTORE_DATABASE_URL`` and ``SESSIONSTORE_SCHEMA``, or their defaults."""
        return cls.of(None, None)

    @property
    def file(self) -> Path | None:
        """The SQLite file; None: the database is PostgreSQL."""
        return file_of(self.url) if self.schema is None else None

    @property
    def place(self) -> str:
        """The name of the target for messages."""
        return f"the SQLite file {str(self.file)!r}" if self.schema is None else f"schema {self.schema!r}"

    @property
    def option(self) -> str:
        """The command-line option that names this schema; "": it is the default schema."""
        return "" if self.schema in (None, config.DEFAULT_SCHEMA) else f" --schema {shlex.quote(str(self.schema))}"

    @property
    def version_table(self) -> str:
        return VERSION_TABLE

    def metadata(self) -> MetaData:
        """The tables that this version needs."""
        metadata = MetaData(schema=self.schema)
        sessions_table(metadata, sqlite=self.schema is None)
        items_table(metadata)
        if self.schema is not None:
            deletions_table(metadata)
        return metadata

    def includes(self, name: str | None, kind: str, parents: Any) -> bool:
        """Whether a schema or table belongs to sessionstore. Alembic must not propose to drop the others."""
        if kind == "schema":
            return name == self.schema
        return kind != "table" or name in {table.name for table in self.metadata().tables.values()}

    def preparing(self) -> Iterator[Any]:
        """Yields the statements of a script before the first revision."""
        if self.schema is not None:
            yield CreateSchema(self.schema, if_not_exists=True)
